#pragma once

#include <string>

namespace saccade::app {

/// A whole file. Errors: Fault::kUser, one line, when it cannot be read.
std::string read_file(const std::string& path);

/// A text to read to a model: UTF-8, and something in it beside white space.
/// Errors: Fault::kUser, one line: which file, which rule, where.
std::string read_text(const std::string& path);

/// Errors: Fault::kUser when `text` is not UTF-8; `what` names it in the line.
void check_utf8(const std::string& what, const std::string& text);

}  // namespace saccade::app
