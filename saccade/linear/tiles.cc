#include "saccade/linear/tiles.h"

#include <algorithm>
#include <string>

#include "saccade/base/error.h"

namespace saccade {
namespace detail {

using kernel::kChunk;
using kernel::kTileParams;
using kernel::words_of;

FixedTokens::FixedTokens(Layout layout, Pos n_tokens, Pos dim)
    : n_tokens_(n_tokens),
      dim_(dim),
      words_(layout.take<std::int32_t>(
          n_tokens * (dim / kChunk * kernel::kChunkWords + words_of(static_cast<int>(dim % kChunk))))),
      scales_(layout.take<float>(n_tokens * n_chunks())),
      bytes_(layout.used()) {}

int FixedTokens::chunk_len(Pos chunk) const { return static_cast<int>(std::min<Pos>(kChunk, dim_ - chunk * kChunk)); }

std::int32_t* FixedTokens::words(Pos chunk, Pos token) const {
  return words_ + chunk * n_tokens_ * kernel::kChunkWords + token * words_of(chunk_len(chunk));
}

void FixedTokens::fix(Pos first, Pos n, const float* x, std::ptrdiff_t stride) const {
  for (Pos chunk = 0; chunk < n_chunks(); ++chunk) {
    kernel::fix_tokens(x + chunk * kChunk, stride, static_cast<int>(n), chunk_len(chunk), words(chunk, first),
                       scales(chunk, first));
  }
}

void multiply_tile(const ParamView& params, Pos first_row, const FixedTokens& tokens, Range which, float* y,
                   std::ptrdiff_t y_stride, const TileRoom& room) {
  const int n_rows = rows_of_tile(params, first_row);
  const Pos n_chunks = tokens.n_chunks();
  const auto chunk_of_rows = [&](Pos chunk) {
    return params.row(first_row) + param_bytes(params.type, chunk * kChunk);
  };
  for (Pos chunk = 0; chunk < n_chunks; ++chunk) {
    const int n = tokens.chunk_len(chunk);
    kernel::fix_params(params.type, chunk_of_rows(chunk), params.row_stride, n_rows, n, room.words, room.scales);
    const kernel::TileProduct tile{room.words,
                                   room.scales,
                                   tokens.words(chunk, which.begin),
                                   tokens.scales(chunk, which.begin),
                                   words_of(n),
                                   static_cast<int>(which.size())};
    kernel::TileSums sums{chunk == 0 ? nullptr : room.sums, room.sums, kTileParams, kTileParams};
    if (chunk + 1 == n_chunks && y != nullptr) {
      sums.after = y;
      sums.stride = y_stride;
      sums.n_rows = n_rows;
    }
    if (chunk + 1 < n_chunks) {
      kernel::prefetch_params(params.type, chunk_of_rows(chunk + 1), params.row_stride, n_rows,
                              tokens.chunk_len(chunk + 1));
    }
    kernel::multiply(tile, sums);
  }
}

void check_params(const ParamView& params, Pos dim) {
  const auto fail = [](const std::string& line) { fail_user("linear: " + line); };
  const ParamBlock block = block_of(params.type);
  const std::string type = "params of type " + std::string(block.name);
  if (params.dim != dim) {
    fail("params must be " + std::to_string(dim) + " wide, as x is, got " + std::to_string(params.dim));
  }
  if (!can_multiply(params.type, params.dim)) {
    fail(type + ", " + std::to_string(params.dim) + " wide, are not for this CPU");
  }
  if (params.n_rows < 0 || params.n_rows % block.n_rows != 0) {
    fail(type + " come in " + std::to_string(block.n_rows) + " rows at a time, got " + std::to_string(params.n_rows));
  }
}

void check_precision(Precision precision) {
  if (precision == Precision::kF32) fail_user("linear: precision must be auto, i16 or bf16, got f32");
}

void check_call(const LinearCall& call) {
  const auto fail = [](const std::string& line) { fail_user("linear: " + line); };
  if (call.n_tokens < 0 || call.dim < 1) {
    fail("n_tokens must be >= 0 and dim >= 1, got " + std::to_string(call.n_tokens) + " and " +
         std::to_string(call.dim));
  }
  if (call.x_stride < call.dim) {
    fail("x_stride must be >= dim " + std::to_string(call.dim) + ", got " + std::to_string(call.x_stride));
  }
  check_precision(call.precision);
  for (const LinearProduct& product : call.products) {
    check_params(product.params, call.dim);
    if (product.y_stride < product.params.n_rows) {
      fail("y_stride must be >= n_rows " + std::to_string(product.params.n_rows) + ", got " +
           std::to_string(product.y_stride));
    }
  }
}

}  // namespace detail

void LinearWorkspace::Rooms::reserve(int n_workers, std::size_t bytes) {
  workers.resize(std::max(workers.size(), static_cast<std::size_t>(n_workers)));
  for (Buffer& worker : workers) worker.reserve(bytes);
}

}  // namespace saccade
