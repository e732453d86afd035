#include "apps/saccade/bench/yardstick.h"

#include <fmt/format.h>

#include <atomic>

#include "saccade/base/error.h"
#include "saccade/kernel/peak.h"
#include "saccade/kernel/targets.h"

namespace saccade::app {
namespace {

constexpr std::size_t kStep = 256;  // bytes that read_sum takes at a time

void use(const std::string& target) {
  if (kernel::chosen_target() != target) kernel::force_target(target);
}

/// Runs `work` on each worker and complains unless every one returned `right`.
template <class T, class Work>
void run_checked(Team& team, T right, const char* what, const Work& work) {
  std::atomic<int> wrong{0};
  team.run([&](int) { wrong += work() == right ? 0 : 1; });
  if (wrong != 0) fail_machine(fmt::format("the {} loop did not do its work, nothing is reported", what));
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

double run_multiply_add_i16(const std::string& target, Team& team) {
  use(target);
  constexpr std::int64_t kRounds = 1 << 20;
  const auto right = static_cast<std::uint32_t>(kernel::kI16Lanes * kRounds * 2 * 3 * 5);
  run_checked(team, right, "16-bit multiply-add", [] { return kernel::multiply_add_i16(kRounds, 3, 5); });
  return 4.0 * kernel::kI16Lanes * kRounds * team.size();
}

void Reading::run() {
  use(kernel::supported_targets().front());
  std::atomic<std::uint64_t> all{0};
  team_.run([&](int worker) {
    std::uint64_t sum = 0;
    const auto share = [&](const ggml_tensor* tensor) {
      const std::size_t n = ggml_nbytes(tensor) / kStep;
      const auto at = static_cast<std::size_t>(worker), of = static_cast<std::size_t>(team_.size());
      const std::size_t begin = n * at / of * kStep, end = n * (at + 1) / of * kStep;
      sum += kernel::read_sum(static_cast<const std::byte*>(tensor->data) + begin, end - begin);
    };
    for (std::size_t layer = 0; layer < data_.k.size(); ++layer) share(data_.k[layer]), share(data_.v[layer]);
    all += sum;
  });
  sum_ = all;
}

void Reading::check() const {
  std::uint64_t one = 0;  // all layers hold the same numbers
  for (const ggml_tensor* tensor : {data_.k[0], data_.v[0]}) {
    const auto* words = static_cast<const std::uint64_t*>(tensor->data);
    for (std::size_t i = 0; i < ggml_nbytes(tensor) / kStep * kStep / sizeof *words; ++i) one += words[i];
  }
  if (sum_ != one * data_.k.size()) fail_machine("the reading loop did not do its work, nothing is reported");
}

}  // namespace saccade::app
