// Attention from C++: 512 tokens of made-up queries, keys and values, dense and through a window.
#include <cmath>
#include <cstdio>
#include <thread>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/plan/planned.h"

namespace {

constexpr saccade::Pos kLen = 512, kHeads = 8, kKvHeads = 2, kHeadDim = 64;

std::vector<float> numbers(saccade::Pos n_heads, double step) {
  std::vector<float> out(static_cast<std::size_t>(kLen * n_heads * kHeadDim));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(std::sin(static_cast<double>(i) * step));
  return out;
}

/// Packed [kLen, n_heads, kHeadDim].
saccade::View view_of(const std::vector<float>& data, saccade::Pos n_heads) {
  return {data.data(), saccade::DType::f32, kLen, n_heads, kHeadDim, n_heads * kHeadDim * 4, kHeadDim * 4};
}

void run() {
  const auto q = numbers(kHeads, 0.37), k = numbers(kKvHeads, 0.73), v = numbers(kKvHeads, 0.11);
  std::vector<float> o(q.size());
  const auto team = saccade::make_thread_team(static_cast<int>(std::thread::hardware_concurrency()));
  saccade::Workspace workspace;

  saccade::PlannedCall call;
  call.attend.q = view_of(q, kHeads);
  call.attend.k = view_of(k, kKvHeads);
  call.attend.v = view_of(v, kKvHeads);
  call.attend.o = {o.data(), kLen, kHeads, kHeadDim, kHeads * kHeadDim * 4, kHeadDim * 4};
  call.attend.scale = 1.0F / std::sqrt(static_cast<float>(kHeadDim));
  for (const char* spec : {"dense", "window(64)+sink(4)"}) {
    const auto plan = saccade::Plan::from_spec(spec);
    const auto cost = saccade::attend(plan, call, *team, workspace);
    const float* const last = &o[static_cast<std::size_t>((kLen - 1) * kHeads * kHeadDim)];
    std::printf("%s: %.0f %% of the pairs, o of the last token begins %.4f %.4f\n", plan.print().c_str(),
                100.0 * static_cast<double>(cost.attend.pairs_visited) / static_cast<double>(cost.pairs_dense),
                static_cast<double>(last[0]), static_cast<double>(last[1]));
  }
  saccade::Plan::from_spec("windw(64)");
}

}  // namespace

int main() {
  try {
    run();
  } catch (const saccade::Error& error) {  // a mistake is one line
    std::printf("%s\n", error.what());
  }
}
