#include "apps/saccade/gguf_header.h"

#include <fmt/format.h>
#include <ggml.h>

#include <bit>
#include <cstring>
#include <unordered_set>

#include "saccade/base/error.h"

static_assert(std::endian::native == std::endian::little, "GGUF files are little-endian and are read in place");

namespace saccade::app {
namespace {

constexpr std::uint64_t kMaxKey = 65535;  // the format's own limit
constexpr std::uint64_t kMaxName = 63;    // ggml's GGML_MAX_NAME, less the final zero
constexpr std::uint64_t kMinPairBytes = 8 + 1 + 4 + 1, kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

std::uint64_t size_of(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    case GgufType::string:
    case GgufType::array:
      return 0;
  }
  return 0;
}

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

class Reader {
 public:
  Reader(std::span<const std::byte> head, std::uint64_t file_bytes, std::vector<GgufExtent>* extents)
      : head_(head), file_bytes_(file_bytes), extents_(extents) {}

  void belongs_to(std::string_view of) { of_ = of; }

  std::span<const std::byte> take(std::uint64_t n, GgufField field) {
    if (n > head_.size() - at_) fail_user(fmt::format("the file ends inside its header, at byte {}", head_.size()));
    if (extents_ != nullptr && n > 0) extents_->push_back({field, at_, at_ + n, of_});
    const auto bytes = head_.subspan(at_, n);
    at_ += n;
    return bytes;
  }
  template <class T>
  T read(GgufField field) {
    return load<T>(take(sizeof(T), field).data());
  }
  std::string_view text(std::uint64_t n, GgufField field) {
    const auto bytes = take(n, field);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  /// A count of things that take at least `min_bytes` each: more than the rest of the file is a lie.
  std::uint64_t count(std::uint64_t min_bytes, GgufField field, const char* what) {
    const auto n = read<std::uint64_t>(field);
    if (n > left() / min_bytes) fail_user(fmt::format("{} {} cannot fit in the {} bytes left", n, what, left()));
    return n;
  }
  std::uint64_t at() const { return at_; }
  std::uint64_t left() const { return head_.size() - at_; }
  std::uint64_t file_bytes() const { return file_bytes_; }

 private:
  std::span<const std::byte> head_;
  std::uint64_t file_bytes_, at_ = 0;
  std::vector<GgufExtent>* extents_;
  std::string_view of_;
};

bool is_printable(std::string_view name) {
  for (const char c : name)
    if (c <= ' ' || c > '~') return false;
  return !name.empty();
}

std::string_view read_name(Reader& in, std::uint64_t max, GgufField length_field, GgufField field, std::uint64_t index,
                           const char* what) {
  const auto n = in.read<std::uint64_t>(length_field);
  if (n == 0 || n > max)
    fail_user(fmt::format("{} {}: its name must be 1 to {} bytes long, got {}", what, index, max, n));
  const auto name = in.text(n, field);
  if (!is_printable(name)) fail_user(fmt::format("{} {}: its name holds unprintable bytes", what, index));
  return name;
}

void read_array(Reader& in, GgufPair& pair) {
  const auto element = in.read<std::uint32_t>(GgufField::kValueType);
  if (element > static_cast<std::uint32_t>(GgufType::f64) || element == static_cast<std::uint32_t>(GgufType::array))
    fail_user(fmt::format("key '{}': arrays of type {} are not allowed", pair.key, element));
  pair.is_array = true;
  pair.type = static_cast<GgufType>(element);
  const bool strings = pair.type == GgufType::string;
  pair.count = in.count(strings ? 8 : size_of(pair.type), GgufField::kArrayCount, "array elements");
  if (!strings) {
    pair.payload = in.take(pair.count * size_of(pair.type), GgufField::kNumber);
    return;
  }
  for (std::uint64_t i = 0; i < pair.count; ++i)
    in.take(in.read<std::uint64_t>(GgufField::kStringLength), GgufField::kText);
}

GgufPair read_pair(Reader& in, std::uint64_t index) {
  GgufPair pair;
  in.belongs_to({});
  pair.key = read_name(in, kMaxKey, GgufField::kKeyLength, GgufField::kKey, index, "key");
  in.belongs_to(pair.key);
  const auto type = in.read<std::uint32_t>(GgufField::kValueType);
  if (type > static_cast<std::uint32_t>(GgufType::f64))
    fail_user(fmt::format("key '{}': its type must be 0 to 12, got {}", pair.key, type));
  pair.type = static_cast<GgufType>(type);
  if (pair.type == GgufType::array) {
    read_array(in, pair);
  } else if (pair.type == GgufType::string) {
    pair.text = in.text(in.read<std::uint64_t>(GgufField::kStringLength), GgufField::kText);
    std::size_t bad = 0;
    if (!is_utf8(pair.text, &bad)) fail_user(fmt::format("key '{}': its text is not UTF-8 at byte {}", pair.key, bad));
  } else {
    pair.payload = in.take(size_of(pair.type), GgufField::kNumber);
  }
  if (pair.type == GgufType::boolean) {
    for (const std::byte b : pair.payload)
      if (b > std::byte{1}) fail_user(fmt::format("key '{}': a bool must be 0 or 1, got {}", pair.key, int(b)));
  }
  return pair;
}

void read_dims(Reader& in, GgufTensor& tensor) {
  tensor.n_dims = in.read<std::uint32_t>(GgufField::kDimCount);
  if (tensor.n_dims < 1 || tensor.n_dims > 4)
    fail_user(fmt::format("tensor '{}': it must have 1 to 4 dimensions, got {}", tensor.name, tensor.n_dims));
  std::uint64_t elements = 1;
  for (std::uint32_t d = 0; d < tensor.n_dims; ++d) {
    const auto dim = tensor.dims[d] = in.read<std::uint64_t>(GgufField::kDim);
    if (dim == 0 || dim > (std::uint64_t{1} << 48) / elements)
      fail_user(fmt::format("tensor '{}': dimension {} is impossible: {}", tensor.name, d, dim));
    elements *= dim;
  }
}

GgufTensor read_tensor(Reader& in, std::uint64_t index) {
  GgufTensor tensor;
  in.belongs_to({});
  tensor.name = read_name(in, kMaxName, GgufField::kNameLength, GgufField::kName, index, "tensor");
  in.belongs_to(tensor.name);
  read_dims(in, tensor);
  tensor.type = in.read<std::int32_t>(GgufField::kTensorType);
  const auto type = static_cast<ggml_type>(tensor.type);
  const bool known = tensor.type >= 0 && tensor.type < GGML_TYPE_COUNT;
  if (!known || ggml_blck_size(type) <= 0 || ggml_type_size(type) == 0)
    fail_user(fmt::format("tensor '{}': unknown type {}", tensor.name, tensor.type));
  const auto block = static_cast<std::uint64_t>(ggml_blck_size(type));
  if (tensor.dims[0] % block != 0)
    fail_user(fmt::format("tensor '{}': rows of {} are not whole blocks of {}", tensor.name, tensor.dims[0], block));
  tensor.bytes = tensor.dims[0] / block * ggml_type_size(type) * tensor.dims[1] * tensor.dims[2] * tensor.dims[3];
  tensor.offset = in.read<std::uint64_t>(GgufField::kOffset);
  return tensor;
}

std::uint64_t alignment_of(const GgufHeader& header) {
  const auto* pair = header.find("general.alignment");
  if (pair == nullptr) return 32;
  if (pair->is_array || pair->type != GgufType::u32) fail_user("key 'general.alignment': it must be one u32");
  const auto alignment = load<std::uint32_t>(pair->payload.data());
  if (!std::has_single_bit(alignment) || alignment > (1U << 20))
    fail_user(fmt::format("key 'general.alignment': it must be a power of two up to 1048576, got {}", alignment));
  return alignment;
}

/// Each tensor begins where the one before it ended, and the last one ends with the file.
void check_tiling(const GgufHeader& header, std::uint64_t file_bytes) {
  const auto pad = [&](std::uint64_t n) { return (n + header.alignment - 1) / header.alignment * header.alignment; };
  std::uint64_t end = 0, padded = 0;
  for (const auto& tensor : header.tensors) {
    if (tensor.offset != padded)
      fail_user(fmt::format("tensor '{}': its data must begin at {}, got {}", tensor.name, padded, tensor.offset));
    end = padded + tensor.bytes;
    padded = pad(end);
  }
  const std::uint64_t least = header.data_begin + end, most = header.data_begin + padded;
  if (file_bytes < least)
    fail_user(fmt::format("the file is cut short: its tensors need {} bytes, it has {}", least, file_bytes));
  if (file_bytes > most)
    fail_user(fmt::format("its tensors end at byte {}, the file at {}: header and data do not belong together", most,
                          file_bytes));
}

}  // namespace

double GgufPair::number(std::uint64_t i) const {
  const std::byte* at = payload.data() + i * size_of(type);
  switch (type) {
    case GgufType::u8:
    case GgufType::boolean:
      return load<std::uint8_t>(at);
    case GgufType::i8:
      return load<std::int8_t>(at);
    case GgufType::u16:
      return load<std::uint16_t>(at);
    case GgufType::i16:
      return load<std::int16_t>(at);
    case GgufType::u32:
      return load<std::uint32_t>(at);
    case GgufType::i32:
      return load<std::int32_t>(at);
    case GgufType::f32:
      return load<float>(at);
    case GgufType::u64:
      return static_cast<double>(load<std::uint64_t>(at));
    case GgufType::i64:
      return static_cast<double>(load<std::int64_t>(at));
    case GgufType::f64:
      return load<double>(at);
    case GgufType::string:
    case GgufType::array:
      return 0;
  }
  return 0;
}

const GgufPair* GgufHeader::find(std::string_view key) const {
  for (const auto& pair : pairs)
    if (pair.key == key) return &pair;
  return nullptr;
}

const GgufTensor* GgufHeader::tensor(std::string_view name) const {
  for (const auto& one : tensors)
    if (one.name == name) return &one;
  return nullptr;
}

GgufHeader read_gguf_header(std::span<const std::byte> head, std::uint64_t file_bytes,
                            std::vector<GgufExtent>* extents) {
  Reader in(head, file_bytes, extents);
  if (head.size() < 4 || in.text(4, GgufField::kMagic) != "GGUF")
    fail_user("not a GGUF file: it does not begin with 'GGUF'");
  GgufHeader header;
  header.version = in.read<std::uint32_t>(GgufField::kVersion);
  if (header.version != 2 && header.version != 3)
    fail_user(fmt::format("GGUF version must be 2 or 3, got {}", header.version));
  const auto n_tensors = in.count(kMinTensorBytes, GgufField::kCount, "tensors");
  const auto n_pairs = in.count(kMinPairBytes, GgufField::kCount, "keys");
  if (n_tensors == 0) fail_user("the file holds no tensors");

  std::unordered_set<std::string_view> seen;
  for (std::uint64_t i = 0; i < n_pairs; ++i) {
    header.pairs.push_back(read_pair(in, i));
    if (!seen.insert(header.pairs.back().key).second)
      fail_user(fmt::format("key '{}' is there twice", header.pairs.back().key));
  }
  seen.clear();
  for (std::uint64_t i = 0; i < n_tensors; ++i) {
    header.tensors.push_back(read_tensor(in, i));
    if (!seen.insert(header.tensors.back().name).second)
      fail_user(fmt::format("tensor '{}' is there twice", header.tensors.back().name));
  }
  header.alignment = alignment_of(header);
  const auto padding = (header.alignment - in.at() % header.alignment) % header.alignment;
  header.data_begin = in.at() + padding;
  if (extents != nullptr) extents->push_back({GgufField::kPadding, in.at(), header.data_begin, {}});
  check_tiling(header, file_bytes);
  return header;
}

bool is_utf8(std::string_view text, std::size_t* bad) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned lead = byte(i);
    std::size_t n = 1;
    unsigned low = 0x80, high = 0xBF;  // what the second byte may be
    if (lead >= 0xC2 && lead <= 0xDF)
      n = 2;
    else if (lead >= 0xE0 && lead <= 0xEF)
      n = 3, low = lead == 0xE0 ? 0xA0 : low, high = lead == 0xED ? 0x9F : high;
    else if (lead >= 0xF0 && lead <= 0xF4)
      n = 4, low = lead == 0xF0 ? 0x90 : low, high = lead == 0xF4 ? 0x8F : high;
    else if (lead >= 0x80)
      n = 0;
    bool good = n > 0 && (n < 2 || (byte(i + 1) >= low && byte(i + 1) <= high));
    for (std::size_t j = 2; good && j < n; ++j) good = byte(i + j) >= 0x80 && byte(i + j) <= 0xBF;
    if (!good) {
      if (bad != nullptr) *bad = i;
      return false;
    }
    i += n;
  }
  return true;
}

}  // namespace saccade::app
