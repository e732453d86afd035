#pragma once

#include <cstdint>
#include <span>

#include "saccade/kernel/ahead.h"
#include "saccade/kernel/notes.h"
#include "saccade/kernel/visit.h"

namespace saccade::kernel {

/// The visit kernel in bf16 tiles, for Intel's matrix unit (AMX). A tile product adds 16 x 32 times 32 x 16 numbers to
/// 16 x 16 sums: 16,384 FLOP in the time of 16 vector instructions.
///
/// Rounded to bf16 (8 bits): q, k, v and weights; before that the logarithms of weights, to 1/128 of a power of two.
/// Products are exact, sums f32 with denormals taken as 0; running maxima, sums and o stay f32. row_sum adds the
/// rounded weights, so that the weights that are used always sum to 1.
///
/// Where there is no matrix unit, vectors add the same products in the same order and give the same bits, at less than
/// the speed of f32: a way to judge on any machine with AVX-512 what bf16 does to a model.

/// Can this CPU, on the target in force (targets.h), run the kernels below, if only emulated?
bool has_bf16() noexcept;
/// On the matrix unit? (matrix_unit.h says why not.)
bool has_bf16_tiles() noexcept;

/// Words of 32 bits that hold two bf16, the earlier dimension or key low. The left operands, k and v, lie in tiles of
/// 16 x 16 words, tile rows first: tile (r, s) begins at word (r n_steps + s) 256.
inline constexpr int kTileSide = 16, kTileWords = 256;
constexpr int round_up(int n, int to) { return (n + to - 1) / to * to; }
/// Words of k and of v for a block of n_keys, a multiple of 32.
constexpr int bf16_k_words(int head_dim, int n_keys = kBlockKeys) { return n_keys * round_up(head_dim, 32) / 2; }
constexpr int bf16_v_words(int v_dim, int n_keys = kBlockKeys) { return n_keys * round_up(v_dim, 16) / 2; }

struct Bf16Block {
  const std::uint32_t* k = nullptr;      ///< 16 keys x 32 dimensions to a tile; from round_keys
  const std::uint32_t* v = nullptr;      ///< 16 dimensions x 32 keys to a tile; from round_values
  int n_keys = 0;                        ///< 1 to kBlockKeys
  int head_dim = 0;                      ///< of q and k
  int v_dim = 0;                         ///< of v and o
  const std::uint32_t* marks = nullptr;  ///< 16 marks x 32 keys to a tile, as v; for notes that sum them
  int v_keys = 0;                        ///< that v was rounded for, where these are more than n_keys; else 0
};

/// Blocks of a visit at most, and its scratch in floats: a block's scores, and the words of every block's weights.
inline constexpr int kMostBf16Blocks = 2;
inline constexpr int kBf16Scratch = kBlockKeys * kTileRows * (2 + kMostBf16Blocks) / 2;

/// What a visit keeps of a tile's rows for probes beside their softmax, which keeps every bit.
///
/// Shapes    [kTileRows] where not told otherwise, 64-byte aligned; null: not wanted
/// Cost      log_sum: 5 vector instructions for two vectors of scores. Marks: each 16 as much as 16 dimensions of
/// values.
///           The best: a comparison for eight vectors, some 90 instructions where one holds something better, 40 for
///           that
struct Bf16Notes {
  float* top = nullptr;      ///< running: the largest score, where row_max is less
  float* log_sum = nullptr;  ///< running, as row_sum: sum of weight log2(weight), weights relative to row_max
  float* marks = nullptr;  ///< running, [n_marks, kTileRows]: sum of weight mark, of numbers that each key brings along
  int n_marks = 0;         ///< a multiple of kTileSide
  BestLists best;          ///< running, as keep_best has them; no lists: not wanted. A block that all rows see adds
                           ///< scores to 1/128, as its weights are rounded, and none of weight 0
  bool ties[kMostBf16Blocks] = {};  ///< a block may hold keys that come before some that were kept: equals count, too
  const std::int32_t* positions = nullptr;  ///< [blocks of the visit, kBlockKeys], of the keys
  ListedScore* listed = nullptr;            ///< scratch for list_best,
  std::uint32_t* words = nullptr;           ///< and for kBlockKeys x kTileRows words and kTileSide more
  float* factor = nullptr;                  ///< written: a score times this is in units of log2; never null
  float* shrink = nullptr;     ///< multiplied by what a rise of row_max leaves of a sum of weights; never null
  float* visit_sum = nullptr;  ///< written: sum of the visit's weights
  bool shrank = false;         ///< set where it does
  bool scores_stay = false;    ///< a block's scores are to be left in the first floats of the scratch, all of them
};

struct Bf16Tile {
  const std::uint32_t* q = nullptr;  ///< [round_up(head_dim, 32) / 2, kTileRows], from round_queries
  float* o = nullptr;                ///< [round_up(v_dim, 16), kTileRows], otherwise as in Tile
  float* row_max = nullptr;          ///< what weights are relative to: at most 8 below the row's maximum
  float* row_sum = nullptr;
  int n_rows = 0;
  Bf16Notes* notes = nullptr;  ///< null: none
  Ahead* ahead = nullptr;      ///< what comes after this visit; null: unknown
  int n_ahead = 0;             ///< lines of it to be fetched beside each 32 keys
};

/// As `visit`, in bf16. Takes masks, biases and soft caps. Several blocks in one visit give the bits of as many visits.
///
/// Requires  has_bf16(); finite q, k and v, as the packers below report; a MatrixSession on this thread;
///           64-byte aligned buffers; one block, or up to kMostBf16Blocks that all rows see
///           whole; `scratch`: kBf16Scratch floats
/// Accuracy  a score within about 2^-8 |q| |k| scale / sqrt(head_dim), a weight within 0.7 % of itself (0.23 % on
///           average), o within about 2^-8 max|v|
/// Cost      2 (head_dim + v_dim) n_keys n_rows FLOP; about 8 vector instructions a score vector for the softmax;
///           scores go to memory and back once for each block, o once for each visit
/// Source    Intel 64 and IA-32 Software Developer's Manual, TDPBF16PS: what a tile product rounds, in which order
void visit_bf16(const Bf16Tile& tile, std::span<const Bf16Block> blocks, const TileMask& mask, ScoreRule rule,
                float* scratch) noexcept;

/// The packers round to nearest, ties to even, fill up with zeros, and return whether all that they wrote is finite.
/// q: a tile's [head_dim, kTileRows], aligned to 64 bytes; dimensions are multiples of 8.
bool round_queries(const float* q, int head_dim, std::uint32_t* out) noexcept;

/// Keys and values as they are stored, in rows `stride` bytes apart: f32, f16 or bf16. `centre` [head_dim] is taken off
/// each key; null: nothing.
/// Cost: about 10 instructions for 32 numbers of a key, 16 for those of a value
constexpr bool can_round(DType dtype) { return block_len(dtype) == 1; }
bool round_keys(DType dtype, const std::byte* k, std::ptrdiff_t stride, int n_keys, int head_dim, const float* centre,
                std::uint32_t* out) noexcept;
bool round_values(DType dtype, const std::byte* v, std::ptrdiff_t stride, int n_keys, int v_dim,
                  std::uint32_t* out) noexcept;

}  // namespace saccade::kernel
