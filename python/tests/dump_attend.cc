// The C++ side of test_bits.py: reads q, k and v from stdin, writes o and lse to stdout, without anything of Python's.
//   dump_attend SPEC Q_LEN KV_LEN N_HEADS N_KV_HEADS HEAD_DIM HEAD_DIM_V f32|f16|bf16 PRECISION THREADS
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "saccade/attend/attend.h"
#include "saccade/base/error.h"
#include "saccade/plan/plan.h"

namespace saccade {
namespace {

/// One array, positions first.
struct Read {
  std::vector<std::byte> bytes;
  View view;

  Read(DType dtype, Pos len, Pos n_heads, Pos dim) : bytes(row_bytes(dtype, len * n_heads * dim)) {
    if (std::fread(bytes.data(), 1, bytes.size(), stdin) != bytes.size()) fail_user("dump_attend: stdin is too short");
    const auto head_bytes = static_cast<std::ptrdiff_t>(row_bytes(dtype, dim));
    view = {bytes.data(), dtype, len, n_heads, dim, head_bytes * n_heads, head_bytes};
  }
};

std::vector<WherePtr> choose_all(const Plan& plan, const AttendCall& call, Team& team) {
  const Choice& choice = plan.choice(0, 0);
  const auto n_heads = static_cast<std::size_t>(call.q.n_heads);
  if (const WherePtr pattern = choice.pattern()) return std::vector(n_heads, pattern);
  std::vector<int> heads(n_heads), kv_head;
  std::iota(heads.begin(), heads.end(), 0);
  for (const int head : heads) kv_head.push_back(static_cast<int>(head * call.k.n_heads / call.q.n_heads));
  return choose(choice, {.q = call.q,
                         .k = call.k,
                         .kv_head = kv_head,
                         .heads = heads,
                         .q_begin = call.q_begin,
                         .scale = call.scale,
                         .team = &team})
      .of_head;
}

void dump(const std::vector<std::string>& args) {
  std::array<Pos, 6> n{};
  for (std::size_t i = 0; i < n.size(); ++i) n[i] = std::stoll(args[i + 1]);
  const auto [q_len, kv_len, n_heads, n_kv_heads, dim, dim_v] = n;
  const DType dtype = args[7] == "f32" ? DType::f32 : args[7] == "f16" ? DType::f16 : DType::bf16;
  const Read q(dtype, q_len, n_heads, dim), k(dtype, kv_len, n_kv_heads, dim), v(dtype, kv_len, n_kv_heads, dim_v);
  std::vector<float> o(static_cast<std::size_t>(q_len * n_heads * dim_v)),
      lse(static_cast<std::size_t>(q_len * n_heads));
  const auto row = static_cast<std::ptrdiff_t>(row_bytes(DType::f32, dim_v));
  AttendCall call{.q = q.view,
                  .k = k.view,
                  .v = v.view,
                  .o = {o.data(), q_len, n_heads, dim_v, row * n_heads, row},
                  .lse = lse.data()};
  call.scale = 1.0F / std::sqrt(static_cast<float>(dim));
  call.q_begin = kv_len - q_len;
  call.precision = parse_precision(args[8]);
  const std::unique_ptr<Team> team = make_thread_team(std::stoi(args[9]));
  const Plan plan = Plan::from_spec(args[0]);
  const std::vector<WherePtr> chosen = choose_all(plan, call, *team);
  std::vector<const Where*> where;
  for (const WherePtr& one : chosen) where.push_back(one.get());
  call.where = where;
  Workspace workspace;
  attend(call, *team, workspace);
  std::fwrite(o.data(), sizeof(float), o.size(), stdout);
  std::fwrite(lse.data(), sizeof(float), lse.size(), stdout);
}

}  // namespace
}  // namespace saccade

int main(int argc, char** argv) {
  try {
    if (argc != 11) saccade::fail_user("dump_attend: wants ten arguments");
    saccade::dump({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
