#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml.h"
#include "saccade/attend/attend.h"
#include "saccade/base/view.h"
#include "saccade/oracle/attention.h"

namespace saccade::testing {

enum class MaskKind { kNone, kCausal, kPaddedCausal, kSlidingWindow, kTwoSequences, kRandom, kBias, kHidesAll };
enum class Layout4 { kContiguous, kCache, kPaddedCache };  // [D, n, H] or [D, H, n], permuted as llama.cpp does

/// One FLASH_ATTN_EXT; everything follows from the seed.
struct AttentionCase {
  std::uint64_t seed = 0;
  Pos head_dim = 64, head_dim_v = 64, n_heads = 1, n_kv_heads = 1, q_len = 1, kv_len = 1;
  Pos n_streams = 1, n_mask_heads = 1, n_mask_streams = 1;
  Pos p0 = 0;  ///< position of the first query where the mask is causal
  ggml_type k_type = GGML_TYPE_F16, v_type = GGML_TYPE_F16;
  MaskKind mask = MaskKind::kCausal;
  Layout4 layout = Layout4::kCache;
  float softcap = 0.0F, max_bias = 0.0F, gain = 1.0F;
  bool sinks = false;
  bool v_in_k = false;  ///< v is the front of every row of k, as in latent attention
  bool hint = false;    ///< the node says how many keys the fullest row of its mask shows

  /// What our backend is meant to leave to ggml.
  bool is_ours() const;
  std::string print() const;
};

/// `seed` runs through all head sizes; the rest is drawn.
AttentionCase draw_case(std::uint64_t seed);

/// The case as a ggml graph of one node, its inputs filled; lives on the CPU's buffers.
class AttentionGraph {
 public:
  explicit AttentionGraph(const AttentionCase& c);
  ~AttentionGraph();
  AttentionGraph(const AttentionGraph&) = delete;
  AttentionGraph& operator=(const AttentionGraph&) = delete;

  ggml_tensor* node() const { return node_; }
  /// Fills the output with NaN, computes, and returns it: [stream, query, head, head_dim_v].
  std::vector<float> run(ggml_backend_t backend);
  /// What the tensors of one stream and the mask of one of its heads really hold.
  oracle::Inputs inputs(Pos stream, Pos head) const;

 private:
  ggml_tensor* new_input(ggml_type type, Pos dim, Pos len, Pos n_heads, Layout4 layout);
  void fill();
  float* sink_scores() const;

  AttentionCase case_;
  ggml_context* context_ = nullptr;
  ggml_backend_buffer_t buffer_ = nullptr;
  ggml_cgraph* graph_ = nullptr;
  ggml_tensor *q_ = nullptr, *k_ = nullptr, *v_ = nullptr, *mask_ = nullptr, *node_ = nullptr;
};

/// ggml's CPU backend; the same for all tests of a program.
ggml_backend_t cpu_backend(int n_threads);
/// Our backend in this program, running the spec's plan.
ggml_backend_t our_backend(const std::string& spec, int n_threads, Precision precision = Precision::kF32);

}  // namespace saccade::testing
