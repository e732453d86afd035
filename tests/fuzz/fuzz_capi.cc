// Any bytes as calls of the C ABI: mostly what a program could mean, now and then anything else. Every struct and every
// array is exactly as large as the call says, so that the sanitizer sees each byte read or written beyond. A call is
// answered with a status and one line, or it gives the same bits twice, visits no more than there is, and leaves zeros
// where nothing was seen. saccade_plan_load is left out: it would open files of any name.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>

#include "saccade/base/view.h"
#include "saccade/saccade.h"
#include "tests/fuzz/fuzz.h"

namespace saccade::fuzz {
namespace {

using Input = FuzzedDataProvider;

constexpr Pos kMostBytes = Pos{1} << 20;  // of one tensor here

/// One time in `n`.
bool rarely(Input& in, int n) { return in.ConsumeIntegralInRange(1, n) == n; }

/// A number that makes sense, and now and then any other.
template <class T>
T number(Input& in, T least, T most) {
  return rarely(in, 50) ? in.ConsumeIntegral<T>() : in.ConsumeIntegralInRange<T>(least, most);
}

void require_answer(saccade_status status) {
  const std::string_view line = saccade_last_error();
  require(status == SACCADE_OK || status == SACCADE_USER_ERROR || status == SACCADE_MACHINE_ERROR, "a known status");
  require((status == SACCADE_OK) == line.empty(), "a line if and only if it failed");
  require(line.find('\n') == std::string_view::npos, "one line");
}

/// A struct in memory of exactly the size that it claims.
template <class T>
class Claimed {
 public:
  Claimed(const T& whole, Input& in)
      : size_(rarely(in, 20) ? in.ConsumeIntegralInRange<std::size_t>(0, sizeof(T) + 16) : sizeof(T)),
        bytes_(new std::byte[std::max(size_, sizeof size_)]()) {
    std::memcpy(bytes_.get(), &whole, std::min(size_, sizeof(T)));
    std::memcpy(bytes_.get(), &size_, sizeof size_);
    if (size_ > sizeof(T) && in.ConsumeBool()) bytes_[sizeof(T)] = std::byte{1};
  }
  T* get() const { return reinterpret_cast<T*>(bytes_.get()); }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte[]> bytes_;
};

/// The memory of a tensor, from its lowest byte to its highest, with nothing around it; null where it would not fit
/// here.
class Memory {
 public:
  Memory(saccade_tensor& tensor, Input& in) {
    const bool known = tensor.dtype >= 0 && tensor.dtype <= SACCADE_Q4_0;
    if (!known || tensor.len < 1 || tensor.n_heads < 1 || tensor.dim < 1 || tensor.dim > kMostBytes) return;
    const Pos row = static_cast<Pos>(row_bytes(static_cast<DType>(tensor.dtype), tensor.dim));
    const bool packed = tensor.len_stride == 0 && tensor.head_stride == 0;
    Range bytes{0, row};
    if (!widen(bytes, packed ? row : tensor.head_stride, tensor.n_heads)) return;
    if (!widen(bytes, packed ? row * tensor.n_heads : tensor.len_stride, tensor.len)) return;
    bytes_.resize(static_cast<std::size_t>(bytes.size()));
    fill(in, tensor.dtype);
    tensor.data = bytes_.data() - bytes.begin;
  }
  const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  static bool widen(Range& bytes, Pos stride, Pos n) {
    if (n > kMostBytes || stride > kMostBytes || stride < -kMostBytes) return false;
    (stride < 0 ? bytes.begin : bytes.end) += stride * (n - 1);
    return bytes.size() <= kMostBytes;
  }

  /// Numbers around zero, with something else among them now and then.
  void fill(Input& in, std::int32_t dtype) {
    std::minstd_rand random(in.ConsumeIntegral<std::uint16_t>() + 1U);
    const bool wild = rarely(in, 4);
    if (dtype != SACCADE_F32) {  // top bits that are not set: small numbers in any of these types
      for (std::uint8_t& byte : bytes_) byte = static_cast<std::uint8_t>(random() & (wild ? 0xFFU : 0xBBU));
      return;
    }
    constexpr float kInf = std::numeric_limits<float>::infinity();
    constexpr float kOthers[] = {kInf, -kInf, std::numeric_limits<float>::quiet_NaN(), 3e38F, -1e4F, 1e-40F};
    for (std::size_t at = 0; at + sizeof(float) <= bytes_.size(); at += sizeof(float)) {
      float x = static_cast<float>(random() % 2001) / 500.0F - 2.0F;
      if (wild && random() % 64 == 0) x = kOthers[random() % std::size(kOthers)];
      std::memcpy(&bytes_[at], &x, sizeof x);
    }
  }

  std::vector<std::uint8_t> bytes_;
};

/// A tensor, its memory and its struct as the library will find them.
struct Tensor {
  Tensor(Input& in, Pos len, Pos n_heads, Pos dim, int most_dtype)
      : whole{sizeof whole, nullptr, number(in, 0, most_dtype), len, n_heads, dim, 0, 0},
        claimed((wreck(in), whole), in),
        memory(cut(), in) {
    if (claimed.size() >= offsetof(saccade_tensor, dtype)) claimed.get()->data = whole.data;
  }

  void wreck(Input& in) {
    if (rarely(in, 60)) whole.len = in.ConsumeIntegral<Pos>();
    if (rarely(in, 60)) whole.n_heads = in.ConsumeIntegralInRange<Pos>(-1, 9);
    if (rarely(in, 60)) whole.dim = in.ConsumeIntegralInRange<Pos>(-8, 600);
    if (rarely(in, 3)) {  // rows apart, heads behind each other, downwards, or anyhow
      const Pos row = std::clamp<Pos>(whole.dim, 0, 600) * 4 + 4 * in.ConsumeIntegralInRange<Pos>(0, 8);
      whole.head_stride = rarely(in, 10) ? in.ConsumeIntegral<Pos>() : row;
      whole.len_stride = rarely(in, 10) ? in.ConsumeIntegral<Pos>() : row * std::clamp<Pos>(whole.n_heads, 0, 9);
      if (in.ConsumeBool()) whole.head_stride = row * std::clamp<Pos>(whole.len, 0, 400), whole.len_stride = row;
      if (in.ConsumeBool()) whole.len_stride = -whole.len_stride & -4;
    }
  }

  /// An older caller's struct has no strides, and so neither has its memory.
  saccade_tensor& cut() {
    if (claimed.size() < sizeof whole) {
      std::memset(reinterpret_cast<std::byte*>(&whole) + claimed.size(), 0, sizeof whole - claimed.size());
    }
    return whole;
  }

  saccade_tensor whole;
  Claimed<saccade_tensor> claimed;
  Memory memory;
};

/// One number for each query head, or null.
template <class T>
std::vector<T> per_head(Input& in, Pos n_heads, T least, T most) {
  if (!rarely(in, 4) || n_heads < 1 || n_heads > 64) return {};
  std::vector<T> numbers(static_cast<std::size_t>(n_heads));
  for (T& x : numbers) {
    if constexpr (std::is_floating_point_v<T>) {
      x = rarely(in, 20) ? in.ConsumeFloatingPoint<T>() : in.ConsumeFloatingPointInRange<T>(least, most);
    } else {
      x = number<T>(in, least, most);
    }
  }
  return numbers;
}

template <class T>
T* or_null(std::vector<T>& numbers) {
  return numbers.empty() ? nullptr : numbers.data();
}

/// Everything that a call reads and writes, made of the input.
class Call {
 public:
  explicit Call(Input& in)
      : kv_len(in.ConsumeIntegralInRange<Pos>(0, 300)),
        q_len(in.ConsumeIntegralInRange<Pos>(0, rarely(in, 3) ? 80 : 3)),
        n_kv_heads(in.ConsumeIntegralInRange<Pos>(1, 3)),
        n_heads(n_kv_heads * in.ConsumeIntegralInRange<Pos>(1, 3)),
        head_dim(rarely(in, 20) ? number<Pos>(in, 0, 640) : in.PickValueInArray<Pos>({32, 64, 40, 128})),
        q(in, q_len, n_heads, head_dim, SACCADE_BF16),
        k(in, kv_len, n_kv_heads, head_dim, SACCADE_Q4_0),
        v(in, kv_len, n_kv_heads, rarely(in, 4) ? 32 : head_dim, SACCADE_Q4_0),
        o(in, q_len, n_heads, v.whole.dim, SACCADE_F32),
        mask(in, q_len, 1, kv_len, SACCADE_F16),
        slopes(per_head(in, q.whole.n_heads, -1.0F, 1.0F)),
        sink_scores(per_head(in, q.whole.n_heads, -4.0F, 4.0F)),
        kv_head(per_head<std::int32_t>(in, q.whole.n_heads, 0, static_cast<std::int32_t>(n_kv_heads) - 1)),
        cost({}, in),
        claimed(whole(in), in) {}

  /// What a call that was done must have left behind.
  void check_done() const {
    if (lse.empty() || !sink_scores.empty()) return;
    const saccade_tensor& t = o.whole;
    const bool packed = t.len_stride == 0 && t.head_stride == 0;
    for (Pos i = 0; i < t.len; ++i) {
      for (Pos head = 0; head < t.n_heads; ++head) {
        if (lse[static_cast<std::size_t>(i * t.n_heads + head)] != -std::numeric_limits<float>::infinity()) continue;
        const Pos at = packed ? (i * t.n_heads + head) * t.dim * 4 : i * t.len_stride + head * t.head_stride;
        const auto* const row = reinterpret_cast<const float*>(static_cast<const std::byte*>(t.data) + at);
        require(std::all_of(row, row + t.dim, [](float x) { return x == 0; }), "a row that sees nothing is zero");
      }
    }
    // From callers with older structs: the call's last member or the cost's later ones are not there to be read.
    if (claimed.size() < sizeof(saccade_attend_call) || cost.size() < offsetof(saccade_cost, pairs_i16)) return;
    if (claimed.get()->cost == nullptr) return;
    const std::int64_t visited = cost.get()->pairs_visited;
    require(visited >= 0 && visited <= t.len * k.whole.len * t.n_heads, "no more pairs are visited than there are");
  }

  Pos kv_len, q_len, n_kv_heads, n_heads, head_dim;
  Tensor q, k, v, o, mask;
  std::vector<float> lse, slopes, sink_scores;
  std::vector<std::int32_t> kv_head;
  Claimed<saccade_cost> cost;
  Claimed<saccade_attend_call> claimed;

 private:
  saccade_attend_call whole(Input& in) {
    saccade_attend_call call{};
    call.q = q.claimed.get(), call.k = k.claimed.get(), call.v = v.claimed.get(), call.o = o.claimed.get();
    if (rarely(in, 4)) call.mask = mask.claimed.get();
    const Pos n_rows =
        q.whole.len >= 0 && q.whole.len <= 400 ? q.whole.len * std::clamp<Pos>(q.whole.n_heads, 0, 64) : 0;
    if (in.ConsumeBool()) lse.resize(static_cast<std::size_t>(n_rows), 7);
    call.lse = or_null(lse);
    call.slopes = or_null(slopes), call.sink_scores = or_null(sink_scores), call.kv_head = or_null(kv_head);
    call.q_begin = in.ConsumeBool() ? std::max<Pos>(0, kv_len - q_len) : number<Pos>(in, 0, 320);
    call.layer = number(in, 0, 3);
    call.not_causal = rarely(in, 5) ? 1 : number(in, 0, 0);
    call.precision = number(in, 0, 3);
    if (rarely(in, 4)) call.scale = in.ConsumeFloatingPoint<float>();
    if (rarely(in, 4)) call.softcap = in.ConsumeFloatingPointInRange(-1.0F, 50.0F);
    if (in.ConsumeBool()) call.cost = cost.get();
    return call;
  }
};

/// Their threads and memory are used again and again, as a program would.
saccade_engine* engine_of(std::int64_t n_threads) {
  static saccade_engine* const engines[] = {[] {
                                              const saccade_engine_options options{sizeof options, 1};
                                              saccade_engine* engine = nullptr;
                                              require_answer(saccade_engine_create(&options, &engine));
                                              return engine;
                                            }(),
                                            [] {
                                              const saccade_engine_options options{sizeof options, 2};
                                              saccade_engine* engine = nullptr;
                                              require_answer(saccade_engine_create(&options, &engine));
                                              return engine;
                                            }()};
  return engines[n_threads - 1];
}

void attend(Input& in, const saccade_plan* plan) {
  saccade_engine* const engine = engine_of(in.ConsumeIntegralInRange(1, 2));
  Call call(in);
  const saccade_status status = saccade_attend(engine, plan, call.claimed.get());
  require_answer(status);
  if (status != SACCADE_OK) return;
  call.check_done();
  const std::vector<std::uint8_t> first = call.o.memory.bytes();
  require_answer(saccade_attend(engine, plan, call.claimed.get()));
  require(first == call.o.memory.bytes(), "the same call gives the same bits");
}

void merge(Input& in) {
  const auto n_rows = number<Pos>(in, 0, 4), dim = number<Pos>(in, 0, 9);
  const auto n = [](Pos size) { return static_cast<std::size_t>(size >= 0 && size <= 36 ? size : 0); };
  const bool small = n(n_rows) == static_cast<std::size_t>(n_rows) && n(dim) == static_cast<std::size_t>(dim);
  std::vector<float> o(small ? n(n_rows * dim) : 0, 1), lse(small ? n(n_rows) : 0), other_o(o), other_lse(lse);
  for (float& x : other_lse) x = in.ConsumeFloatingPoint<float>();
  require_answer(saccade_merge(n_rows, dim, or_null(o), or_null(lse), or_null(other_o), or_null(other_lse)));
}

void run(Input in) {
  const std::string text = in.ConsumeRandomLengthString(300);
  saccade_plan* plan = nullptr;
  const bool json = !text.empty() && text[0] == '{';
  require_answer((json ? saccade_plan_from_json : saccade_plan_from_spec)(text.c_str(), &plan));
  const char* shown = nullptr;
  require_answer(saccade_show(text.c_str(), &shown));
  merge(in);
  attend(in, plan);
  saccade_plan_free(plan);
}

}  // namespace
}  // namespace saccade::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  saccade::fuzz::run({data, size});
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  static const std::vector<std::string> words = saccade::fuzz::spec_words();
  return saccade::fuzz::mutate(data, size, max_size, seed, words);
}
