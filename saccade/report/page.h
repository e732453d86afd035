#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace saccade::report {

/// One heading, a sentence on how to read what follows, and what follows, which is markup (a chart or a table).
struct Section {
  std::string heading, note, markup;
};

/// A name and what it says, at the top of the page.
struct Fact {
  std::string name, text;
};

/// A report in one file: no network, no other file; light and dark as the reader's system is; readable without colour
/// vision and without scripts, which only add sorting and quicker hints.
///
/// All members but markup and data are plain text and are escaped here.
struct Page {
  std::string title, lead;
  std::vector<Fact> facts;
  std::vector<Section> sections;
  nlohmann::ordered_json data;  ///< kept in <script type="application/json" id="data">, for those who want the numbers
};

/// The whole file: HTML that is well-formed XML, too.
std::string html_of(const Page& page);

}  // namespace saccade::report
