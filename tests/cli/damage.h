#pragma once

#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/saccade/gguf_header.h"
#include "apps/saccade/gguf_names.h"
#include "apps/saccade/model_file.h"
#include "saccade/base/error.h"

namespace saccade::testing {

/// The line with which a model file is refused; nothing when it passes. Anything but a user's error of one line throws.
inline std::optional<std::string> refusal(std::string_view head, std::uint64_t file_bytes) {
  try {
    app::check_model(app::read_gguf_header(std::as_bytes(std::span(head)), file_bytes));
    return std::nullopt;
  } catch (const Error& error) {
    const std::string line = error.what();
    if (error.fault() != Fault::kUser || line.empty() || line.find('\n') != std::string::npos) throw;
    return line;
  }
}

inline bool is_read_by_somebody(std::string_view key, std::string_view architecture) {
  for (const auto& known : app::kKeys)
    if (key == known.name) return true;
  for (const auto& known : app::kArchKeys)
    if (key == std::string(architecture) + "." + std::string(known.name)) return true;
  return false;
}

/// Bytes that hold a value rather than the file's structure: damage there may be as plausible as the truth.
inline bool is_value(const app::GgufExtent& extent) {
  return extent.field == app::GgufField::kText || extent.field == app::GgufField::kNumber;
}

/// Structure that nobody reads, or that means the same when damaged; everything else must be refused.
inline bool is_harmless(const app::GgufExtent& extent, std::string_view file, std::uint64_t at, char damaged,
                        std::string_view architecture) {
  using enum app::GgufField;
  const std::string_view of = extent.field == kKey ? file.substr(extent.begin, extent.end - extent.begin) : extent.of;
  switch (extent.field) {
    case kPadding:
      return true;  // between header and data; nobody reads it
    case kVersion:
      return at == extent.begin && damaged == 2;  // versions 2 and 3 are laid out alike
    case kKey:                                    // a key that nobody reads may have any name,
    case kValueType:
      return !is_read_by_somebody(of, architecture);  // and any type of the same size
    default:
      return false;
  }
}

}  // namespace saccade::testing
