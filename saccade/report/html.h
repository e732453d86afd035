#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace saccade::report {

/// The text as it may stand between tags and inside a quoted attribute: & < > " ' become entities, bytes that are not
/// UTF-8 and control characters become U+FFFD. White space stays.
std::string escaped(std::string_view text);

/// The JSON as it may stand inside <script type="application/json">: nothing in it can end the script or be read as
/// markup, and JSON.parse gives back the same value. Broken UTF-8 becomes U+FFFD, a NaN null.
std::string script_json(const nlohmann::ordered_json& json);

/// At most `most` characters (code points), with an ellipsis in the middle where some were left out. Requires most
/// >= 3.
std::string shortened(std::string_view text, std::size_t most);

/// Characters (code points) of a UTF-8 text.
std::size_t length_of(std::string_view text);

}  // namespace saccade::report
