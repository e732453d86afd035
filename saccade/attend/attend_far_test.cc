// Tensors whose rows lie more than 2^31 elements apart: no offset may be cut to 32 bits. The memory is reserved and
// only its few rows are ever touched.

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <string>
#include <vector>

#include "saccade/attend/attend.h"
#include "tests/support/any_case.h"

namespace saccade {
namespace {

using testing::AttendCase;
using testing::on_every_target;
using testing::Output;
using testing::Problem;
using testing::team_of;
using testing::used_workspace;

/// Address space without memory behind it.
class Reserved {
 public:
  explicit Reserved(std::size_t bytes) : bytes_(bytes) {
    data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data_ != MAP_FAILED) madvise(data_, bytes, MADV_NOHUGEPAGE);  // a row touches 4 KiB, not 2 MiB
  }
  ~Reserved() {
    if (data_ != MAP_FAILED) munmap(data_, bytes_);
  }
  Reserved(const Reserved&) = delete;
  Reserved& operator=(const Reserved&) = delete;

  explicit operator bool() const { return data_ != MAP_FAILED; }
  void* data() const { return data_; }

 private:
  std::size_t bytes_;
  void* data_;
};

constexpr std::ptrdiff_t kFar = (std::ptrdiff_t{1} << 31) + 32;  // elements

/// The same view with rows or heads far apart; `room` holds it. What it shows is copied.
View spread(const View& near, const Reserved& room, std::ptrdiff_t len_stride, std::ptrdiff_t head_stride) {
  View far = near;
  far.data = room.data(), far.len_stride = len_stride, far.head_stride = head_stride;
  for (Pos i = 0; i < near.len; ++i) {
    for (Pos head = 0; head < near.n_heads; ++head) {
      std::memcpy(const_cast<std::byte*>(far.row(i, head)), near.row(i, head), row_bytes(near.dtype, near.dim));
    }
  }
  return far;
}

TEST(Attend, RowsMoreThanTwoToThe31ElementsApart) {
  constexpr std::ptrdiff_t kHalves = kFar * 2, kFloats = kFar * 4;  // bytes
  for (const Pos q_len : {1, 30}) {                                 // few rows, and tiles
    AttendCase c{.seed = 21, .q_len = q_len, .kv_len = 9, .n_heads = 2, .n_kv_heads = 2, .head_dim = 64, .team = 1};
    c.k_type = c.v_type = DType::f16, c.bias_type = DType::f16, c.bias_keys = {2, 7}, c.where_name = "dense";
    const Problem problem(c);
    const auto bytes = [](Pos n, std::ptrdiff_t stride) { return static_cast<std::size_t>(n * stride); };
    const Reserved q(bytes(2, kFloats)), k(bytes(9, kHalves)), v(bytes(2, kHalves)), o(bytes(q_len, kFloats)),
        bias(bytes(q_len, kHalves));
    if (!q || !k || !v || !o || !bias) GTEST_SKIP() << "this machine reserves no address space without memory";

    std::vector<const Where*> where;
    Output expected = problem.output();
    const AttendCall near = problem.call(expected, where);
    AttendCall far = near;
    far.q = spread(near.q, q, 256, kFloats);
    far.k = spread(near.k, k, kHalves, 128);
    far.v = spread(near.v, v, 128, kHalves);
    far.o.data = static_cast<float*>(o.data()), far.o.len_stride = kFloats, far.o.head_stride = 256;
    far.lse = nullptr;
    far.bias = {bias.data(), DType::f16, kHalves};
    for (Pos i = 0; i < q_len; ++i) std::memcpy(const_cast<std::byte*>(far.bias.row(i)), near.bias.row(i), 18);
    on_every_target([&](const std::string&) {
      attend(near, team_of(1), used_workspace());
      attend(far, team_of(1), used_workspace());
      for (Pos i = 0; i < q_len; ++i) {
        for (Pos head = 0; head < 2; ++head) {
          EXPECT_EQ(std::memcmp(far.o.row(i, head), near.o.row(i, head), 256), 0) << "query " << i << ", head " << head;
        }
      }
    });
  }
}

}  // namespace
}  // namespace saccade
