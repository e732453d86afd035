#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace saccade::kernel {

/// Loops that do one thing as fast as the target in force can, to measure how fast that is: the yardsticks of
/// `saccade bench`. Each returns something that follows from having done all of the work, so that neither a compiler
/// nor a mistake can leave it out unnoticed.

/// f32 multiply-adds from registers: `n_rounds` rounds of kChains vectors, x <- x one + step, all independent.
/// Returns the sum of all elements: n_chains lanes n_rounds step, exact while n_rounds step < 2^24.
/// Cost: 2 FLOP an element and round. 12 chains cover 2 units with a latency of 4 or 5 cycles.
struct PeakWork {
  int n_chains = 0, lanes = 0;
};
PeakWork multiply_add_work() noexcept;
double multiply_add(std::int64_t n_rounds, float one, float step) noexcept;

/// 16-bit integer multiply-adds (AVX-512 VNNI), 32 pairs an instruction, 16 independent chains of 16 lanes.
/// Returns the sum of all 32-bit sums: 256 n_rounds 2 a b modulo 2^32.
/// Requires has_fixed(). Cost: 4 operations a lane and round.
std::uint32_t multiply_add_i16(std::int64_t n_rounds, std::int16_t a, std::int16_t b) noexcept;
inline constexpr std::int64_t kI16Lanes = 256;

/// bf16 tile products on the matrix unit (AMX), operands in tile registers: six independent sums, from 0,
/// sum += left right, n_rounds times.
///
/// Shapes    left [16, 16], right [16, 16] words of two bf16; sums [6, 16, 16] f32:
///           sum[m][n] += over k and both halves: left[m][k] right[k][n]
/// Requires  matrix_unit() == MatrixUnit::kUsed
/// Cost      6 x 16,384 FLOP a round. 6 sums cover a latency of 52 cycles, one product begun every 16.
void multiply_tiles(std::int64_t n_rounds, const std::uint32_t* left, const std::uint32_t* right, float* sums) noexcept;
inline constexpr int kTileSums = 6;

/// Reads everything once, in order; returns the sum of its 64-bit words. Requires bytes % 256 == 0.
std::uint64_t read_sum(const std::byte* data, std::size_t bytes) noexcept;

/// The exponential of the kernels here (exp2-inl.h): y[i] = 2^x[i] for x <= 0. Requires equal sizes, multiples of 64.
/// Accuracy: kExp2Error relative to 2^x, the most among 16 million points of [-126, 0] (with fused multiply-adds
/// 1.7e-7, which is 2.0 ulp).
inline constexpr double kExp2Error = 1.9e-7;
void exp2_of(std::span<const float> x, std::span<float> y) noexcept;

/// `n` additions, each needing the one before: one cycle each on every core we know. For telling the clock.
std::uint64_t dependent_adds(std::int64_t n, std::uint64_t step) noexcept;

}  // namespace saccade::kernel
