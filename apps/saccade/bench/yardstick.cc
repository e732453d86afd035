#include "apps/saccade/bench/yardstick.h"

#include <fmt/format.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "saccade/base/error.h"
#include "saccade/base/random.h"
#include "saccade/kernel/fixed.h"
#include "saccade/kernel/matrix_unit.h"
#include "saccade/kernel/peak.h"
#include "saccade/kernel/targets.h"

namespace saccade::app {
namespace {

constexpr std::size_t kReadStep = 256;  // bytes that read_sum takes at a time

void use(const std::string& target) {
  if (kernel::chosen_target() != target) kernel::force_target(target);
}

[[noreturn]] void fail(const std::string& what) {
  fail_machine(fmt::format("the {} loop did not do its work, nothing is reported", what));
}

/// Runs `work` on each worker and complains unless every one returned `right`.
template <class T, class Work>
void run_checked(Team& team, T right, const char* what, const Work& work) {
  std::atomic<int> wrong{0};
  team.run([&](int) { wrong += work() == right ? 0 : 1; });
  if (wrong != 0) fail(what);
}

}  // namespace

double run_multiply_add(const std::string& target, Team& team) {
  use(target);
  constexpr std::int64_t kRounds = 1 << 20;  // a few ms; sums stay exact in f32
  const kernel::PeakWork work = kernel::multiply_add_work();
  const double adds = double{kRounds} * work.n_chains * work.lanes;
  run_checked(team, adds, "f32 multiply-add", [] { return kernel::multiply_add(kRounds, 1.0F, 1.0F); });
  return 2 * adds * team.size();
}

bool has_multiply_add_i16(const std::string& target) {
  use(target);
  return kernel::has_fixed();
}

double run_multiply_add_i16(const std::string& target, Team& team) {
  use(target);
  constexpr std::int64_t kRounds = 1 << 20;
  constexpr std::int16_t kLeft = 3, kRight = 5;
  const auto right = static_cast<std::uint32_t>(kernel::kI16Lanes * kRounds * 2 * kLeft * kRight);
  run_checked(team, right, "16-bit multiply-add", [] { return kernel::multiply_add_i16(kRounds, kLeft, kRight); });
  return 4.0 * kernel::kI16Lanes * kRounds * team.size();
}

namespace {

constexpr std::size_t kTile = 256;  // words of an operand, numbers of a sum
constexpr std::int64_t kTileRounds = 4096;
constexpr int kTilePasses = 32;

/// The words of an operand as numbers.
float low_half(std::uint32_t word) { return std::bit_cast<float>(word << 16U); }
float high_half(std::uint32_t word) { return std::bit_cast<float>(word & 0xFFFF0000U); }

}  // namespace

bool TileProducts::exist(const std::string& target) {
  use(target);
  return kernel::matrix_unit() == kernel::MatrixUnit::kUsed;
}

TileProducts::TileProducts(std::string target, bool zeros, Team& team)
    : target_(std::move(target)),
      team_(team),
      left_(kTile),
      right_(kTile),
      sums_(kTile * kernel::kTileSums * static_cast<std::size_t>(team.size())) {
  if (zeros) return;
  Random random(1);
  const auto bf16 = [&random] { return std::bit_cast<std::uint32_t>(random.normal()) & 0xFFFF0000U; };
  for (auto* operand : {&left_, &right_})
    for (std::uint32_t& word : *operand) word = bf16() | bf16() >> 16U;
}

double TileProducts::run() {
  use(target_);
  const std::size_t part = kTile * kernel::kTileSums;
  team_.run([&](int worker) {
    float* sums = sums_.data() + part * static_cast<std::size_t>(worker);
    for (int pass = 0; pass < kTilePasses; ++pass)
      kernel::multiply_tiles(kTileRounds, left_.data(), right_.data(), sums);
  });
  return 2.0 * 16 * 16 * 32 * kernel::kTileSums * kTileRounds * kTilePasses * team_.size();
}

void TileProducts::check() const {
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    const std::size_t m = i % kTile / 16, n = i % 16;
    double product = 0, size = 0;
    for (std::size_t k = 0; k < 16; ++k) {
      const std::uint32_t a = left_[m * 16 + k], b = right_[k * 16 + n];
      const double low = double{low_half(a)} * low_half(b), high = double{high_half(a)} * high_half(b);
      product += low + high;
      size += std::fabs(low) + std::fabs(high);
    }
    // Each round rounds a sum of at most kTileRounds `size` a few times.
    const double allowed = 4.0 * kTileRounds * kTileRounds * size * std::numeric_limits<float>::epsilon();
    if (!(std::fabs(sums_[i] - kTileRounds * product) <= allowed)) fail("tile product");
  }
}

const char* peak_of(Precision precision, const std::string& target) {
  if (precision == Precision::kBf16 && TileProducts::exist(target)) return "amx_bf16_random";
  return precision == Precision::kI16 ? "vnni_i16" : "fma_f32";
}

std::function<double()> run_of(const std::string& peak, const std::string& target, Team& team) {
  if (peak == "vnni_i16") return [target, &team] { return run_multiply_add_i16(target, team); };
  if (peak != "amx_bf16_random") return [target, &team] { return run_multiply_add(target, team); };
  return [tiles = std::make_shared<TileProducts>(target, false, team)] { return tiles->run(); };
}

double run_dependent_adds() {
  constexpr std::int64_t kAdds = 1 << 24;
  if (kernel::dependent_adds(kAdds, 3) != 3U * kAdds) fail("addition");
  return kAdds;
}

namespace {

constexpr std::size_t kExponentials = 4096;  // two times 16 KiB
constexpr int kExponentialPasses = 512;

}  // namespace

Exponential::Exponential(std::string target, Team& team)
    : target_(std::move(target)),
      team_(team),
      x_(kExponentials),
      y_(kExponentials * static_cast<std::size_t>(team.size())) {
  for (std::size_t i = 0; i < x_.size(); ++i) x_[i] = -126.0F * static_cast<float>(i) / static_cast<float>(x_.size());
}

double Exponential::run() {
  use(target_);
  team_.run([this](int worker) {
    const auto y = std::span(y_).subspan(kExponentials * static_cast<std::size_t>(worker), kExponentials);
    for (int pass = 0; pass < kExponentialPasses; ++pass) kernel::exp2_of(x_, y);
  });
  return static_cast<double>(y_.size()) * kExponentialPasses;
}

void Exponential::check() const {
  for (std::size_t i = 0; i < y_.size(); ++i) {
    const double right = std::exp2(double{x_[i % kExponentials]});
    if (!(std::fabs(y_[i] - right) <= kernel::kExp2Error * right)) fail("exponential");
  }
}

Reading::Reading(std::vector<std::span<const std::byte>> pieces, int passes, Team& team)
    : pieces_(std::move(pieces)), passes_(passes), team_(team) {}

double Reading::run() {
  kernel::force_target("");  // the best
  std::atomic<std::uint64_t> all{0};
  team_.run([&](int worker) {
    const auto at = static_cast<std::size_t>(worker), of = static_cast<std::size_t>(team_.size());
    std::uint64_t sum = 0;
    for (int pass = 0; pass < passes_; ++pass) {
      for (const auto piece : pieces_) {
        const std::size_t n = piece.size() / kReadStep;
        const std::size_t begin = n * at / of * kReadStep, end = n * (at + 1) / of * kReadStep;
        sum += kernel::read_sum(piece.data() + begin, end - begin);
      }
    }
    all += sum;
  });
  sum_ = all;
  double bytes = 0;
  for (const auto piece : pieces_) bytes += static_cast<double>(piece.size());
  return bytes * passes_;
}

void Reading::check() const {
  std::uint64_t sum = 0;
  for (const auto piece : pieces_) {
    const auto* words = reinterpret_cast<const std::uint64_t*>(piece.data());
    for (std::size_t i = 0; i < piece.size() / kReadStep * kReadStep / sizeof *words; ++i) sum += words[i];
  }
  if (sum_ != sum * static_cast<std::uint64_t>(passes_)) fail("reading");
}

}  // namespace saccade::app
