#pragma once

#include <string>
#include <vector>

namespace saccade::app {

struct Document {
  std::string id, text;
};

/// The documents of a file: of a .jsonl each line's "text", named by its "id" or by its number from 1 on; of any other
/// file the whole of it, named as the file is.
/// Errors: Fault::kUser, one line that names the file and the line; as read_text.
std::vector<Document> read_documents(const std::string& path);

}  // namespace saccade::app
