#include "apps/saccade/model_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "apps/saccade/gguf_names.h"
#include "apps/saccade/hash.h"
#include "saccade/base/error.h"

namespace saccade::app {
namespace {

/// Same length, one byte different.
bool one_byte_off(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  int n = 0;
  for (std::size_t i = 0; i < a.size() && n < 2; ++i) n += a[i] != b[i];
  return n == 1;
}

bool type_fits(const GgufPair& pair, char type) {
  switch (type) {
    case 'A':
      return pair.is_array;
    case 'U':
      return pair.is_array ? pair.type != GgufType::string : pair.type == GgufType::u32;
    case 'u':
      return !pair.is_array && pair.type == GgufType::u32;
    case 'f':
      return !pair.is_array && pair.type == GgufType::f32;
    case 'b':
      return !pair.is_array && pair.type == GgufType::boolean;
    case 's':
      return !pair.is_array && pair.type == GgufType::string;
    default:
      return true;
  }
}

/// Every lookup of one model's keys, with the rules that hold for any architecture.
class Keys {
 public:
  explicit Keys(const GgufHeader& header) : header_(header) {
    const auto* pair = header.find("general.architecture");
    if (pair == nullptr) fail_user("key 'general.architecture' is missing");
    if (!type_fits(*pair, 's') || pair->text.empty()) fail_user("key 'general.architecture': it must be a text");
    architecture_ = pair->text;
  }
  const std::string& architecture() const { return architecture_; }
  std::string full(std::string_view key) const { return fmt::format("{}.{}", architecture_, key); }
  const GgufPair* arch(std::string_view key) const { return header_.find(full(key)); }

  /// A whole number in [least, most]; layer picks from an array of one number a layer. Absent: nothing.
  std::optional<std::uint64_t> whole(std::string_view key, std::uint64_t least, std::uint64_t most,
                                     std::uint64_t layer = 0) const {
    const auto* pair = arch(key);
    if (pair == nullptr) return std::nullopt;
    if (pair->type == GgufType::string || (pair->is_array && layer >= pair->count))
      fail_user(fmt::format("key '{}': it must hold one number a layer", pair->key));
    const double value = pair->number(pair->is_array ? layer : 0);
    if (!(value >= static_cast<double>(least) && value <= static_cast<double>(most)))
      fail_user(fmt::format("key '{}': it must be {} to {}, got {}", pair->key, least, most, value));
    return static_cast<std::uint64_t>(value);
  }
  std::uint64_t need(std::string_view key, std::uint64_t least, std::uint64_t most, std::uint64_t layer = 0) const {
    const auto value = whole(key, least, most, layer);
    if (!value) fail_user(fmt::format("key '{}' is missing", full(key)));
    return *value;
  }
  void real(std::string_view key, double above, double most) const {
    const auto* pair = arch(key);
    if (pair == nullptr) return;
    const double value = pair->number();
    if (!(value > above && value <= most))
      fail_user(fmt::format("key '{}': it must be above {} and at most {}, got {}", pair->key, above, most, value));
  }

  /// Names and types: a key that is one byte off a known one, or of a type that llama.cpp does not read, is damaged.
  void check_names() const {
    const std::string prefix = architecture_ + ".";
    for (const auto& pair : header_.pairs) {
      std::string near;
      if (!is_known(pair, prefix, near) && !near.empty())
        fail_user(fmt::format("key '{}' looks like a damaged '{}'", pair.key, near));
    }
  }

 private:
  bool is_known(const GgufPair& pair, const std::string& prefix, std::string& near) const {
    const auto look = [&](const KnownKey& known, const std::string& name) {
      if (pair.key == name) {
        if (!type_fits(pair, known.type))
          fail_user(fmt::format("key '{}': its type {}{} is wrong", pair.key, pair.is_array ? "array of " : "",
                                static_cast<int>(pair.type)));
        return true;
      }
      if (one_byte_off(pair.key, name)) near = name;
      return false;
    };
    for (const auto& known : kKeys)
      if (look(known, std::string(known.name))) return true;
    for (const auto& known : kArchKeys)
      if (look(known, prefix + std::string(known.name))) return true;
    return false;
  }

  const GgufHeader& header_;
  std::string architecture_;
};

/// "blk.12.attn_q.weight" -> 12 and "attn_q.weight".
std::optional<std::pair<std::uint64_t, std::string_view>> split_layer(std::string_view name) {
  if (!name.starts_with("blk.")) return std::nullopt;
  const auto dot = name.find('.', 4);
  std::uint64_t layer = 0;
  if (dot == std::string_view::npos) return std::nullopt;
  const auto [end, error] = std::from_chars(name.data() + 4, name.data() + dot, layer);
  if (error != std::errc() || end != name.data() + dot || (name[4] == '0' && dot > 5)) return std::nullopt;
  return std::pair{layer, name.substr(dot + 1)};
}

/// Layers are 0 .. n - 1, and what a single layer has in place of what the others have is not one byte off it.
void check_tensor_names(const GgufHeader& header, std::uint64_t n_layers) {
  std::map<std::string_view, std::set<std::uint64_t>> layers_of;  // by kind
  std::set<std::uint64_t> layers;
  for (const auto& tensor : header.tensors) {
    const auto split = split_layer(tensor.name);
    if (split) {
      if (split->first >= n_layers)
        fail_user(fmt::format("tensor '{}': the model has {} layers", tensor.name, n_layers));
      layers.insert(split->first);
      layers_of[split->second].insert(split->first);
      continue;
    }
    if (std::ranges::find(kTensors, tensor.name) != std::end(kTensors)) continue;
    for (const auto known : kTensors)
      if (one_byte_off(tensor.name, known))
        fail_user(fmt::format("tensor '{}' looks like a damaged '{}'", tensor.name, known));
    const auto repaired = fmt::format("blk.{}", tensor.name.size() > 4 ? tensor.name.substr(4) : "");
    if (tensor.name.starts_with("blk.") || (one_byte_off(tensor.name, repaired) && split_layer(repaired)))
      fail_user(fmt::format("tensor '{}' looks like a damaged layer tensor", tensor.name));
  }
  if (layers.size() != n_layers)
    fail_user(fmt::format("the header promises {} layers, the tensor table has {}", n_layers, layers.size()));
  for (const auto& [kind, owners] : layers_of)
    for (const auto& [other, other_owners] : layers_of)
      if (owners.size() == 1 && one_byte_off(kind, other) && !other_owners.contains(*owners.begin()))
        fail_user(fmt::format("tensor 'blk.{}.{}' looks like a damaged '{}'", *owners.begin(), kind, other));
}

void check_dim(const GgufHeader& header, const std::string& name, int axis, std::uint64_t expected, const char* why) {
  const auto* tensor = header.tensor(name);
  if (tensor != nullptr && tensor->dims[axis] != expected)
    fail_user(fmt::format("tensor '{}': dimension {} must be {} ({}), got {}", name, axis, expected, why,
                          tensor->dims[axis]));
}

/// Heads of one layer against the widths of its projections.
std::uint64_t check_heads(const GgufHeader& header, const Keys& keys, std::uint64_t layer, std::uint64_t n_embd) {
  const auto n_heads = keys.whole("attention.head_count", 0, 65536, layer).value_or(0);
  const auto n_kv_heads = keys.whole("attention.head_count_kv", 0, 65536, layer).value_or(n_heads);
  const auto blk = fmt::format("blk.{}.", layer);
  for (const auto* name : {"attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_qkv.weight"})
    if ((n_heads == 0 || n_kv_heads == 0) && header.tensor(blk + name) != nullptr)
      fail_user(fmt::format("tensor '{}{}': the header gives this layer {} query and {} key heads", blk, name, n_heads,
                            n_kv_heads));
  if (n_heads == 0 || n_kv_heads == 0) return n_heads;  // a layer without attention
  if (n_heads % n_kv_heads != 0)
    fail_user(fmt::format("key '{}': {} query heads cannot share {} key heads", keys.full("attention.head_count_kv"),
                          n_heads, n_kv_heads));
  // Other head sizes on some layers: their own keys, not checked here.
  if (keys.arch("attention.key_length_mla") != nullptr || keys.arch("attention.key_length_swa") != nullptr)
    return n_heads;
  const auto key_length = keys.whole("attention.key_length", 1, 65536);
  if (!key_length && n_embd % n_heads != 0)
    fail_user(fmt::format("key '{}': {} heads do not divide {} channels", keys.full("attention.head_count"), n_heads,
                          n_embd));
  const auto k_dim = key_length.value_or(n_embd / n_heads);
  const auto v_dim = keys.whole("attention.value_length", 1, 65536).value_or(n_embd / n_heads);
  const auto* q = header.tensor(blk + "attn_q.weight");
  // A gated query projection is twice as wide.
  if (q != nullptr && q->dims[1] != n_heads * k_dim && q->dims[1] != 2 * n_heads * k_dim)
    fail_user(fmt::format("tensor '{}': {} heads of {} need {} rows, got {}", q->name, n_heads, k_dim, n_heads * k_dim,
                          q->dims[1]));
  check_dim(header, blk + "attn_k.weight", 1, n_kv_heads * k_dim, "key heads x key length");
  check_dim(header, blk + "attn_v.weight", 1, n_kv_heads * v_dim, "key heads x value length");
  check_dim(header, blk + "attn_q.weight", 0, n_embd, "embedding length");
  check_dim(header, blk + "attn_k.weight", 0, n_embd, "embedding length");
  check_dim(header, blk + "attn_v.weight", 0, n_embd, "embedding length");
  if (const auto rope = keys.whole("rope.dimension_count", 1, 65536); rope && (*rope > k_dim || *rope % 2 != 0))
    fail_user(fmt::format("key '{}': it must be even and at most {}, got {}", keys.full("rope.dimension_count"), k_dim,
                          *rope));
  return n_heads;
}

void check_vocabulary(const GgufHeader& header, const Keys& keys, std::uint64_t n_rows) {
  const auto* model = header.find("tokenizer.ggml.model");
  if (model == nullptr) fail_user("key 'tokenizer.ggml.model' is missing");
  if (std::ranges::find(kTokenizers, model->text) == std::end(kTokenizers))
    fail_user(fmt::format("key 'tokenizer.ggml.model': unknown tokenizer '{}'", model->text));
  const auto* tokens = header.find("tokenizer.ggml.tokens");
  if (tokens == nullptr) fail_user("key 'tokenizer.ggml.tokens' is missing");
  if (tokens->type != GgufType::string) fail_user("key 'tokenizer.ggml.tokens': it must be an array of texts");
  if (tokens->count != n_rows)
    fail_user(fmt::format("key 'tokenizer.ggml.tokens': {} tokens, but 'token_embd.weight' has {} rows", tokens->count,
                          n_rows));
  if (const auto size = keys.whole("vocab_size", 1, 1U << 30); size && *size != n_rows)
    fail_user(fmt::format("key '{}': it must be {}, got {}", keys.full("vocab_size"), n_rows, *size));
  for (const auto* name : {"tokenizer.ggml.token_type", "tokenizer.ggml.scores"}) {
    const auto* list = header.find(name);
    if (list == nullptr) continue;
    if (list->count != n_rows) fail_user(fmt::format("key '{}': {} entries for {} tokens", name, list->count, n_rows));
    const bool scores = std::string_view(name).ends_with("scores");
    if (list->type != (scores ? GgufType::f32 : GgufType::i32))
      fail_user(fmt::format("key '{}': its entries are of type {}", name, static_cast<int>(list->type)));
    for (std::uint64_t i = 0; i < list->count; ++i) {
      const double value = list->number(i);
      if (scores ? !std::isfinite(value) : !(value >= 0 && value <= 6))
        fail_user(fmt::format("key '{}': entry {} is {}", name, i, value));
    }
  }
  if (const auto* merges = header.find("tokenizer.ggml.merges"); merges != nullptr && merges->type != GgufType::string)
    fail_user("key 'tokenizer.ggml.merges': it must be an array of texts");
  for (const auto& pair : header.pairs)
    if (pair.key.starts_with("tokenizer.ggml.") && pair.key.ends_with("_token_id") && !pair.is_array &&
        pair.type == GgufType::u32 && pair.number() >= static_cast<double>(n_rows))
      fail_user(fmt::format("key '{}': it must be below {}, got {}", pair.key, n_rows, pair.number()));
}

/// A file mapped for reading.
class Mapped {
 public:
  explicit Mapped(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail_machine(fmt::format("{}", std::strerror(errno)));
    struct stat info {};
    const bool known = ::fstat(fd, &info) == 0;
    if (!known || !S_ISREG(info.st_mode) || info.st_size == 0) {
      ::close(fd);
      fail_user(!known || S_ISREG(info.st_mode) ? "the file is empty" : "not a regular file");
    }
    const auto bytes = static_cast<std::size_t>(info.st_size);
    void* at = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    const int problem = errno;
    ::close(fd);
    if (at == MAP_FAILED) fail_machine(fmt::format("{}", std::strerror(problem)));
    bytes_ = {static_cast<const std::byte*>(at), bytes};
  }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  ~Mapped() { ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size()); }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

/// The header in full, and 64 KiB at 32 places of the data.
std::string fingerprint_of(std::span<const std::byte> file, std::uint64_t data_begin) {
  Hash hash;
  hash.add(file.first(std::min<std::uint64_t>(data_begin, file.size())));
  constexpr std::uint64_t kSamples = 32, kBytes = 65536;
  for (std::uint64_t i = 0; i < kSamples; ++i) {
    const auto at = data_begin + (file.size() - data_begin) / kSamples * i;
    hash.add(file.subspan(at, std::min<std::uint64_t>(kBytes, file.size() - at)));
  }
  return hash.text();
}

}  // namespace

ModelFacts check_model(const GgufHeader& header) {
  const Keys keys(header);
  keys.check_names();
  if (const auto* split = header.find("split.count");
      split != nullptr && split->type != GgufType::string && split->number() > 1)
    fail_user("one part of a split model: join the parts first (llama-gguf-split --merge)");
  ModelFacts facts;
  facts.architecture = keys.architecture();
  const auto n_layers = keys.need("block_count", 1, 65536);
  const auto n_embd = keys.need("embedding_length", 1, 1U << 24);
  facts.n_layers = static_cast<int>(n_layers);
  facts.n_ctx_train = static_cast<int>(keys.need("context_length", 1, 1U << 30));
  check_tensor_names(header, n_layers);

  const auto* embd = header.tensor("token_embd.weight");
  if (embd == nullptr) fail_user("tensor 'token_embd.weight' is missing");
  if (header.tensor("output_norm.weight") == nullptr && header.tensor("output_norm.bias") != nullptr)
    fail_user("tensor 'output_norm.weight' is missing");
  check_dim(header, "token_embd.weight", 0, n_embd, "embedding length");
  check_dim(header, "output_norm.weight", 0, n_embd, "embedding length");
  check_dim(header, "output.weight", 0, n_embd, "embedding length");
  check_dim(header, "output.weight", 1, embd->dims[1], "rows of 'token_embd.weight'");
  check_vocabulary(header, keys, embd->dims[1]);

  keys.need("attention.head_count", 0, 65536);
  for (std::uint64_t layer = 0; layer < n_layers; ++layer) {
    facts.n_heads = std::max(facts.n_heads, static_cast<int>(check_heads(header, keys, layer, n_embd)));
    const auto blk = fmt::format("blk.{}.", layer);
    check_dim(header, blk + "attn_norm.weight", 0, n_embd, "embedding length");
    check_dim(header, blk + "ffn_norm.weight", 0, n_embd, "embedding length");
    if (const auto n_ff = keys.whole("feed_forward_length", 0, 1U << 24, layer);
        n_ff && keys.arch("expert_count") == nullptr) {
      const auto* up = header.tensor(blk + "ffn_up.weight");
      if (up != nullptr && up->dims[1] != *n_ff && up->dims[1] != 2 * *n_ff)  // gate and up in one: twice as wide
        fail_user(fmt::format("tensor '{}': dimension 1 must be {} (feed-forward length), got {}", up->name, *n_ff,
                              up->dims[1]));
    }
  }
  if (facts.n_heads == 0) fail_user("the model has no attention heads");
  keys.real("attention.layer_norm_rms_epsilon", 0, 0.1);
  keys.real("attention.layer_norm_epsilon", 0, 0.1);
  keys.real("rope.freq_base", 0, 1e12);
  keys.real("rope.freq_base_swa", 0, 1e12);
  keys.real("rope.scaling.factor", -1e6, 1e6);
  keys.whole("attention.sliding_window", 0, 1U << 30);
  return facts;
}

ModelFacts read_model_file(const std::string& path) {
  try {
    const Mapped file(path);
    const auto header = read_gguf_header(file.bytes(), file.bytes().size());
    ModelFacts facts = check_model(header);
    facts.file_bytes = file.bytes().size();
    facts.fingerprint = fingerprint_of(file.bytes(), header.data_begin);
    return facts;
  } catch (const Error& error) {
    throw Error(error.fault(), fmt::format("model {}: {}", path, error.what()));
  }
}

}  // namespace saccade::app
