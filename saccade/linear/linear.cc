#include "saccade/linear/linear.h"

#include <algorithm>
#include <string>
#include <vector>

#include "saccade/base/buffer.h"
#include "saccade/base/error.h"
#include "saccade/kernel/linear.h"

namespace saccade {
namespace {

using kernel::kChunk;
using kernel::kTileParams;
using kernel::words_of;

/// Tokens that share one decoding of the parameters: their sums over a tile, 256 KiB, stay in the second-level cache.
constexpr Pos kBatch = 1024;
/// Fewer tokens than this are not worth decoding a tile for, if only balance asks for it.
constexpr Pos kFewestTokens = 96;

/// Some tokens in fixed point, chunk after chunk: words [chunk][n_tokens, words_of(chunk)], scales [chunk][n_tokens].
class FixedTokens {
 public:
  FixedTokens(const LinearCall& call, Pos first, Pos n_tokens, std::int32_t* words, float* scales)
      : call_(call), first_(first), n_tokens_(n_tokens), words_(words), scales_(scales) {}

  static Pos n_words(Pos n_tokens, Pos dim) {
    return n_tokens * (dim / kChunk * kernel::kChunkWords + words_of(static_cast<int>(dim % kChunk)));
  }
  static Pos n_scales(Pos n_tokens, Pos dim) { return n_tokens * n_chunks(dim); }
  static Pos n_chunks(Pos dim) { return (dim + kChunk - 1) / kChunk; }

  Pos size() const { return n_tokens_; }
  int chunk_len(Pos chunk) const { return static_cast<int>(std::min<Pos>(kChunk, call_.dim - chunk * kChunk)); }

  void fix(Pos begin, Pos end) {
    for (Pos chunk = 0; chunk < n_chunks(call_.dim); ++chunk) {
      const float* x = call_.x + (first_ + begin) * call_.x_stride + chunk * kChunk;
      kernel::fix_tokens(x, call_.x_stride, static_cast<int>(end - begin), chunk_len(chunk), words(chunk, begin),
                         scales(chunk, begin));
    }
  }

  std::int32_t* words(Pos chunk, Pos token) const {
    return words_ + chunk * n_tokens_ * kernel::kChunkWords + token * words_of(chunk_len(chunk));
  }
  float* scales(Pos chunk, Pos token) const { return scales_ + chunk * n_tokens_ + token; }

 private:
  const LinearCall& call_;
  Pos first_, n_tokens_;
  std::int32_t* words_;
  float* scales_;
};

/// What one worker needs: a chunk of a tile of parameters and the sums so far.
struct TileRoom {
  TileRoom(Layout layout, Pos n_tokens)
      : words(layout.take<std::int32_t>(kernel::kParamTileWords)),
        scales(layout.take<float>(kTileParams)),
        sums(layout.take<float>(n_tokens * kTileParams)),
        bytes(layout.used()) {}
  std::int32_t* words;
  float* scales;
  float* sums;
  std::size_t bytes;
};

/// One tile of rows times the tokens [begin, end) of the batch; `y` is the first token's row of the whole batch.
void multiply_tile(const LinearProduct& product, Pos first_row, const FixedTokens& tokens, Pos begin, Pos end, float* y,
                   const TileRoom& room) {
  const ParamView& params = product.params;
  const int n_rows = static_cast<int>(std::min<Pos>(kTileParams, params.n_rows - first_row));
  const Pos n_chunks = FixedTokens::n_chunks(params.dim);
  for (Pos chunk = 0; chunk < n_chunks; ++chunk) {
    const int n = tokens.chunk_len(chunk);
    kernel::fix_params(params.type, params.row(first_row) + param_bytes(params.type, chunk * kChunk), params.row_stride,
                       n_rows, n, room.words, room.scales);
    const kernel::TileProduct tile{room.words,
                                   room.scales,
                                   tokens.words(chunk, begin),
                                   tokens.scales(chunk, begin),
                                   words_of(n),
                                   static_cast<int>(end - begin)};
    kernel::TileSums sums{chunk == 0 ? nullptr : room.sums, room.sums, kTileParams, kTileParams};
    if (chunk + 1 == n_chunks) {
      sums.after = y + begin * product.y_stride + first_row;
      sums.stride = product.y_stride;
      sums.n_rows = n_rows;
    }
    if (chunk + 1 < n_chunks) {
      const Pos next = (chunk + 1) * kChunk;
      kernel::prefetch_params(params.type, params.row(first_row) + param_bytes(params.type, next), params.row_stride,
                              n_rows, tokens.chunk_len(chunk + 1));
    }
    kernel::multiply(tile, sums);
  }
}

Pos n_tiles(const LinearProduct& product) { return (product.params.n_rows + kTileParams - 1) / kTileParams; }

/// Into how many parts the tokens of a batch are cut, so that no worker waits for long.
Pos parts_of(Pos n_tokens, Pos tiles, Pos n_workers) {
  const Pos most = std::max<Pos>(1, n_tokens / kFewestTokens);
  for (Pos parts = 1; parts < most; ++parts) {
    const Pos rounds = (tiles * parts + n_workers - 1) / n_workers;
    if (tiles * parts * 10 >= rounds * n_workers * 9) return parts;  // at most a tenth of the time idle
  }
  return most;
}

std::string name_of(ParamFormat type) { return std::string(block_of(type).name); }

void check(const LinearCall& call) {
  const auto fail = [](const std::string& line) { fail_user("linear: " + line); };
  if (call.n_tokens < 0 || call.dim < 1) {
    fail("n_tokens must be >= 0 and dim >= 1, got " + std::to_string(call.n_tokens) + " and " +
         std::to_string(call.dim));
  }
  if (call.x_stride < call.dim) {
    fail("x_stride must be >= dim " + std::to_string(call.dim) + ", got " + std::to_string(call.x_stride));
  }
  for (const LinearProduct& product : call.products) {
    const ParamView& params = product.params;
    if (params.dim != call.dim) {
      fail("params must be " + std::to_string(call.dim) + " wide, as x is, got " + std::to_string(params.dim));
    }
    if (!can_multiply(params.type, params.dim)) {
      fail("params of type " + name_of(params.type) + ", " + std::to_string(params.dim) +
           " wide, are not for this CPU");
    }
    if (params.n_rows % block_of(params.type).n_rows != 0) {
      fail("params of type " + name_of(params.type) + " come in " + std::to_string(block_of(params.type).n_rows) +
           " rows at a time, got " + std::to_string(params.n_rows));
    }
    if (params.n_rows < 0 || product.y_stride < params.n_rows) {
      fail("y_stride must be >= n_rows " + std::to_string(params.n_rows) + ", got " + std::to_string(product.y_stride));
    }
  }
}

}  // namespace

struct LinearWorkspace::Rooms {
  std::vector<Buffer> workers;  ///< one each
  Buffer tokens;                ///< a batch in fixed point
};

LinearWorkspace::LinearWorkspace() : rooms_(std::make_unique<Rooms>()) {}
LinearWorkspace::~LinearWorkspace() = default;
LinearWorkspace::LinearWorkspace(LinearWorkspace&&) noexcept = default;
LinearWorkspace& LinearWorkspace::operator=(LinearWorkspace&&) noexcept = default;

bool can_multiply(ParamFormat type, Pos dim) noexcept {
  return kernel::has_linear() && dim > 0 && dim % block_of(type).n_params == 0;
}

void linear(const LinearCall& call, Team& team, LinearWorkspace& workspace) {
  check(call);
  Pos tiles = 0;
  for (const LinearProduct& product : call.products) tiles += n_tiles(product);
  if (call.n_tokens == 0 || tiles == 0) return;

  const Pos n_batches = (call.n_tokens + kBatch - 1) / kBatch;
  const Pos batch = (call.n_tokens + n_batches - 1) / n_batches;
  LinearWorkspace::Rooms& rooms = workspace.rooms();
  Layout measure;
  measure.take<std::int32_t>(FixedTokens::n_words(batch, call.dim));
  measure.take<float>(FixedTokens::n_scales(batch, call.dim));
  rooms.tokens.reserve(measure.used());
  rooms.workers.resize(std::max(rooms.workers.size(), static_cast<std::size_t>(team.size())));
  for (Buffer& worker : rooms.workers) worker.reserve(TileRoom(Layout(), batch).bytes);

  for (Pos first = 0; first < call.n_tokens; first += batch) {
    const Pos n_tokens = std::min(batch, call.n_tokens - first);
    Layout layout(rooms.tokens.data());
    auto* words = layout.take<std::int32_t>(FixedTokens::n_words(n_tokens, call.dim));
    auto* scales = layout.take<float>(FixedTokens::n_scales(n_tokens, call.dim));
    FixedTokens tokens(call, first, n_tokens, words, scales);
    constexpr Pos kTogether = 16;
    parallel_for(team, (n_tokens + kTogether - 1) / kTogether,
                 [&](Pos item, int) { tokens.fix(item * kTogether, std::min(n_tokens, (item + 1) * kTogether)); });

    const Pos parts = parts_of(n_tokens, tiles, team.size());
    parallel_for(team, tiles * parts, [&](Pos item, int worker) {
      const Pos part = item % parts;
      Pos tile = item / parts;
      const LinearProduct* product = call.products.data();
      for (; tile >= n_tiles(*product); ++product) tile -= n_tiles(*product);
      const TileRoom room(Layout(rooms.workers[static_cast<std::size_t>(worker)].data()), batch);
      multiply_tile(*product, tile * kTileParams, tokens, n_tokens * part / parts, n_tokens * (part + 1) / parts,
                    product->y + first * product->y_stride, room);
    });
  }
}

}  // namespace saccade
