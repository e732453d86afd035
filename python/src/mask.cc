#include "python/src/mask.h"

#include <cstdint>
#include <cstring>
#include <limits>

#include "python/src/round.h"
#include "saccade/base/error.h"

namespace saccade::python {

void Mask::check(Pos batch, Pos n_heads, Pos q_len, Pos kv_len) const {
  if (!array_.is_bool()) array_.float_dtype();
  const int n = array_.ndim();
  const auto is = [&](int i, Pos size) { return array_.shape(i) == size; };
  const bool fits = (n == 2 || (n == 4 && (is(0, 1) || is(0, batch)) && (is(1, 1) || is(1, n_heads)))) &&
                    is(n - 2, q_len) && is(n - 1, kv_len);
  if (fits) return;
  fail_user(array_.name() + " must be [" + std::to_string(q_len) + ", " + std::to_string(kv_len) + "] or [" +
            std::to_string(batch) + " or 1, " + std::to_string(n_heads) + " or 1, " + std::to_string(q_len) + ", " +
            std::to_string(kv_len) + "], got shape " + array_.shape_text());
}

BiasView Mask::of(Pos sequence, Pos head, Pos q_len, Pos kv_len) {
  const int n = array_.ndim();
  const std::byte* data = array_.data();
  if (n == 4 && array_.shape(0) > 1) data += sequence * array_.stride_bytes(0);
  if (n == 4 && array_.shape(1) > 1) data += head * array_.stride_bytes(1);
  const std::ptrdiff_t row = array_.stride_bytes(n - 2), step = array_.stride_bytes(n - 1);
  const bool contiguous = array_.stride(n - 1) == 1 || kv_len <= 1;
  if (const auto dtype = array_.dtype(); dtype && *dtype != DType::bf16 && contiguous) return {data, *dtype, row};
  translated_.resize(static_cast<std::size_t>(q_len * kv_len));
  float* out = translated_.data();
  for (Pos i = 0; i < q_len; ++i) {
    for (Pos j = 0; j < kv_len; ++j) {
      const std::byte* const at = data + i * row + j * step;
      if (array_.is_bool()) {
        *out++ = *at == std::byte{0} ? -std::numeric_limits<float>::infinity() : 0.0F;
      } else {
        *out++ = read_float(array_.float_dtype(), at);
      }
    }
  }
  return {translated_.data(), DType::f32, kv_len * static_cast<std::ptrdiff_t>(sizeof(float))};
}

}  // namespace saccade::python
