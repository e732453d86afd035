#pragma once

#include <string_view>

namespace saccade::app {

/// Keys that llama.cpp looks up, and the type it insists on: u = u32, f = f32, b = bool, s = string, capital = an array
/// of anything is fine too, A = array. Keys of the architecture are written without its prefix. A name that is not here
/// but differs from one of these in a single byte is taken for damage. Source: src/llama-arch.cpp of llama.cpp.
struct KnownKey {
  std::string_view name;
  char type;
};

inline constexpr KnownKey kArchKeys[] = {
    {"vocab_size", 'u'},
    {"context_length", 'u'},
    {"embedding_length", 'u'},
    {"block_count", 'u'},
    {"leading_dense_block_count", 'u'},
    {"feed_forward_length", 'U'},
    {"expert_feed_forward_length", 'U'},
    {"expert_shared_feed_forward_length", 'u'},
    {"expert_count", 'u'},
    {"expert_used_count", 'u'},
    {"expert_shared_count", 'u'},
    {"expert_group_count", 'u'},
    {"expert_group_used_count", 'u'},
    {"expert_weights_scale", 'f'},
    {"expert_weights_norm", 'b'},
    {"expert_gating_func", 'u'},
    {"use_parallel_residual", 'b'},
    {"tensor_data_layout", 's'},
    {"pooling_type", 'u'},
    {"logit_scale", 'f'},
    {"attn_logit_softcapping", 'f'},
    {"final_logit_softcapping", 'f'},
    {"residual_scale", 'f'},
    {"embedding_scale", 'f'},
    {"attention.head_count", 'U'},
    {"attention.head_count_kv", 'U'},
    {"attention.max_alibi_bias", 'f'},
    {"attention.clamp_kqv", 'f'},
    {"attention.key_length", 'u'},
    {"attention.value_length", 'u'},
    {"attention.layer_norm_epsilon", 'f'},
    {"attention.layer_norm_rms_epsilon", 'f'},
    {"attention.causal", 'b'},
    {"attention.q_lora_rank", 'u'},
    {"attention.kv_lora_rank", 'u'},
    {"attention.sliding_window", 'u'},
    {"attention.sliding_window_pattern", 'U'},
    {"attention.scale", 'f'},
    {"attention.key_length_mla", 'u'},
    {"attention.value_length_mla", 'u'},
    {"attention.key_length_swa", 'u'},
    {"attention.value_length_swa", 'u'},
    {"attention.shared_kv_layers", 'U'},
    {"attention.temperature_length", 'u'},
    {"attention.temperature_scale", 'f'},
    {"attention.output_scale", 'f'},
    {"rope.dimension_count", 'u'},
    {"rope.dimension_count_swa", 'u'},
    {"rope.dimension_sections", 'A'},
    {"rope.freq_base", 'f'},
    {"rope.freq_base_swa", 'f'},
    {"rope.scale_linear", 'f'},
    {"rope.scaling.type", 's'},
    {"rope.scaling.factor", 'f'},
    {"rope.scaling.attn_factor", 'f'},
    {"rope.scaling.original_context_length", 'u'},
    {"rope.scaling.finetuned", 'b'},
    {"rope.scaling.yarn_log_multiplier", 'f'},
    {"rope.scaling.yarn_ext_factor", 'f'},
    {"rope.scaling.yarn_attn_factor", 'f'},
    {"rope.scaling.yarn_beta_fast", 'f'},
    {"rope.scaling.yarn_beta_slow", 'f'},
};

inline constexpr KnownKey kKeys[] = {
    {"general.architecture", 's'},
    {"general.type", 's'},
    {"general.name", 's'},
    {"general.alignment", 'u'},
    {"general.file_type", 'u'},
    {"general.quantization_version", 'u'},
    {"split.no", '*'},
    {"split.count", '*'},
    {"split.tensors.count", '*'},
    {"tokenizer.ggml.model", 's'},
    {"tokenizer.ggml.pre", 's'},
    {"tokenizer.ggml.tokens", 'A'},
    {"tokenizer.ggml.token_type", 'A'},
    {"tokenizer.ggml.token_type_count", 'u'},
    {"tokenizer.ggml.scores", 'A'},
    {"tokenizer.ggml.merges", 'A'},
    {"tokenizer.ggml.bos_token_id", 'u'},
    {"tokenizer.ggml.eos_token_id", 'u'},
    {"tokenizer.ggml.eot_token_id", 'u'},
    {"tokenizer.ggml.eom_token_id", 'u'},
    {"tokenizer.ggml.unknown_token_id", 'u'},
    {"tokenizer.ggml.seperator_token_id", 'u'},
    {"tokenizer.ggml.padding_token_id", 'u'},
    {"tokenizer.ggml.cls_token_id", 'u'},
    {"tokenizer.ggml.mask_token_id", 'u'},
    {"tokenizer.ggml.add_bos_token", 'b'},
    {"tokenizer.ggml.add_eos_token", 'b'},
    {"tokenizer.ggml.add_sep_token", 'b'},
    {"tokenizer.ggml.add_space_prefix", 'b'},
    {"tokenizer.ggml.remove_extra_whitespaces", 'b'},
    {"tokenizer.ggml.precompiled_charsmap", 'A'},
    {"tokenizer.ggml.suppress_tokens", 'A'},
    {"tokenizer.ggml.fim_pre_token_id", 'u'},
    {"tokenizer.ggml.fim_suf_token_id", 'u'},
    {"tokenizer.ggml.fim_mid_token_id", 'u'},
    {"tokenizer.ggml.fim_pad_token_id", 'u'},
    {"tokenizer.ggml.fim_rep_token_id", 'u'},
    {"tokenizer.ggml.fim_sep_token_id", 'u'},
    {"tokenizer.chat_template", 's'},
};

/// Tensors outside the layers.
inline constexpr std::string_view kTensors[] = {
    "token_embd.weight",    "token_embd_norm.weight",   "token_embd_norm.bias",
    "position_embd.weight", "token_types.weight",       "output.weight",
    "output.bias",          "output_norm.weight",       "output_norm.bias",
    "rope_freqs.weight",    "rope_factors_long.weight", "rope_factors_short.weight",
};

inline constexpr std::string_view kTokenizers[] = {
    "llama", "gpt2", "bert", "t5", "rwkv", "plamo2", "gemma4", "hybriddna", "whitespace", "no_vocab", "none", "test",
};

}  // namespace saccade::app
