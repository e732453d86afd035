#pragma once

#include <memory>
#include <span>

#include "saccade/base/param_format.h"
#include "saccade/base/precision.h"
#include "saccade/base/team.h"
#include "saccade/base/view.h"

namespace saccade {

/// Reads a matrix of parameters `[n_rows, dim]` somebody else owns, each row contiguous in its storage type.
struct ParamView {
  const void* data = nullptr;
  ParamFormat type = ParamFormat::q8_0;
  Pos n_rows = 0, dim = 0;
  std::ptrdiff_t row_stride = 0;  ///< bytes to the next row, or to the next rows that lie in one block

  /// Of a format that lays rows side by side: i is the first of them.
  const std::byte* row(Pos i) const {
    return static_cast<const std::byte*>(data) + i / block_of(type).n_rows * row_stride;
  }
};

/// One matrix and where its results go: y[token][row] = params[row] . x[token].
struct LinearProduct {
  ParamView params;
  float* y = nullptr;           ///< [n_tokens, params.n_rows]
  std::ptrdiff_t y_stride = 0;  ///< floats from one token to the next
};

/// Matrices that multiply the same tokens, which are rounded once for all of them (q, k, v; gate and up).
struct LinearCall {
  const float* x = nullptr;     ///< [n_tokens, dim]
  std::ptrdiff_t x_stride = 0;  ///< floats from one token to the next
  Pos n_tokens = 0, dim = 0;
  std::span<const LinearProduct> products;
  Precision precision = Precision::kAuto;  ///< auto, i16 or bf16: see linear_precision
};

/// Scratch memory of `linear`, kept between calls so that they need not allocate; grows to what the largest call took.
class LinearWorkspace {
 public:
  LinearWorkspace();
  ~LinearWorkspace();
  LinearWorkspace(LinearWorkspace&&) noexcept;
  LinearWorkspace& operator=(LinearWorkspace&&) noexcept;
  struct Rooms;
  Rooms& rooms() { return *rooms_; }

 private:
  std::unique_ptr<Rooms> rooms_;
};

/// Can this CPU, on the target in force, multiply by parameters of this type? False leaves them to others: no AVX-512
/// VNNI, or rows that are not whole blocks.
bool can_multiply(ParamFormat type, Pos dim) noexcept;

/// In which numbers linear() multiplies when it is asked for `asked`: auto is bf16 tiles where there is a matrix unit
/// (AMX), else 16-bit fixed point; i16 and bf16 are themselves, bf16 without a matrix unit emulated (slow).
Precision linear_precision(Precision asked = Precision::kAuto) noexcept;

/// Multiplies tokens by matrices of quantised parameters.
///   y[t][r] = sum over d of params[r][d] x[t][d]
/// Parameters are decoded to f32 exactly. i16: each 256 elements of a row, and of a token, are rounded to 16 bits with
/// a scale of their own; products and their sums are exact; the sums of 256 are added up in f32. bf16: elements are
/// rounded to 8 bits, for bf16 parameters those of tokens to 16, for f16 parameters both to 16 (kernel/linear_bf16.h);
/// products are exact, sums f32.
///
/// Shapes    x [n_tokens, dim], y [n_tokens, n_rows]; no tokens or no rows: nothing is written
/// Requires  y overlaps neither x nor params nor another y; one call at a time for a workspace
/// Errors    Fault::kUser: sizes that do not fit together, a product that can_multiply declines, a precision that is
///           none of ours. std::bad_alloc, before anything is written
/// Accuracy  off by about 6e-6 |params[r]| |x[t]| in i16 on normal data, in bf16 by 1e-4 for quantised types, where
///           ggml's 8-bit activations cost 3e-4 to 7e-4. NaN or inf in a token or a row of parameters (in bf16 also
///           what rounds to inf, from 3.39e38 on) makes what they give not finite and touches nothing else
/// Cost      2 n_tokens dim n_rows FLOP, at 64 to an instruction in i16, 1,024 a cycle in bf16 (f16: in 3 products,
///           bf16 parameters: in 2); decodes the parameters once for every 1,024 tokens; scratch 2 n_tokens dim bytes
///           (f16: 3 times, bf16 parameters: twice as many) for at most 1,024 tokens, and 300 KiB a worker, in bf16 768
///           KiB. The bits of y do not depend on the team's size
/// Source    docs/decisions/0008, 0019
void linear(const LinearCall& call, Team& team, LinearWorkspace& workspace);

}  // namespace saccade
