#pragma once

#include <cstdint>
#include <vector>

#include "saccade/base/buffer.h"
#include "saccade/kernel/linear.h"
#include "saccade/linear/linear.h"

// linear() and linear_experts() in 16-bit fixed point: tokens, and one tile of parameters times some of them; and the
// checks and the memory that they share with bf16 (panels.h).
namespace saccade {
namespace detail {

/// Tokens that a worker rounds at a time.
inline constexpr Pos kRoundedTogether = 16;

/// Tokens in fixed point, chunk after chunk: words [chunk][n_tokens, words_of(chunk)], scales [chunk][n_tokens].
class FixedTokens {
 public:
  /// Without memory it only counts.
  FixedTokens(Layout layout, Pos n_tokens, Pos dim);

  std::size_t bytes() const { return bytes_; }
  Pos n_chunks() const { return (dim_ + kernel::kChunk - 1) / kernel::kChunk; }
  int chunk_len(Pos chunk) const;
  std::int32_t* words(Pos chunk, Pos token) const;
  float* scales(Pos chunk, Pos token) const { return scales_ + chunk * n_tokens_ + token; }

  /// Rounds `n` tokens, `stride` floats apart, to the places from `first` on.
  void fix(Pos first, Pos n, const float* x, std::ptrdiff_t stride) const;

 private:
  Pos n_tokens_, dim_;
  std::int32_t* words_;
  float* scales_;
  std::size_t bytes_;
};

/// What one worker needs: a chunk of a tile of parameters and the sums so far.
struct TileRoom {
  TileRoom(Layout layout, Pos n_tokens)
      : words(layout.take<std::int32_t>(kernel::kParamTileWords)),
        scales(layout.take<float>(kernel::kTileParams)),
        sums(layout.take<float>(n_tokens * kernel::kTileParams)),
        bytes(layout.used()) {}
  std::int32_t* words;
  float* scales;
  float* sums;  ///< [n_tokens, kTileParams]
  std::size_t bytes;
};

/// Rows of parameters that lie in lanes together.
inline Pos n_tiles(const ParamView& params) { return (params.n_rows + kernel::kTileParams - 1) / kernel::kTileParams; }
inline int rows_of_tile(const ParamView& params, Pos first_row) {
  return static_cast<int>(params.n_rows - first_row < kernel::kTileParams ? params.n_rows - first_row
                                                                          : kernel::kTileParams);
}

/// The tile of rows from `first_row` on times some tokens. `y`: where the first token's result of the first row goes,
/// `y_stride` floats to the next token's; null: results stay in room.sums.
void multiply_tile(const ParamView& params, Pos first_row, const FixedTokens& tokens, Range which, float* y,
                   std::ptrdiff_t y_stride, const TileRoom& room);

/// Errors: Fault::kUser, as linear(): parameters that do not fit a token of this width, or are not for this CPU.
void check_params(const ParamView& params, Pos dim);
/// Errors: Fault::kUser, as linear(): sizes that do not fit together, check_params and check_precision.
void check_call(const LinearCall& call);
/// Errors: Fault::kUser for a precision that is not auto, i16 or bf16.
void check_precision(Precision precision);

}  // namespace detail

struct LinearWorkspace::Rooms {
  std::vector<Buffer> workers;  ///< one each
  Buffer tokens;                ///< a batch, rounded

  /// So much memory for each of so many workers.
  void reserve(int n_workers, std::size_t bytes);
};

}  // namespace saccade
