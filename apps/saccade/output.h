#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace saccade::app {

/// Writes to stdout now. Errors: Fault::kMachine (a full disk, a closed pipe).
void print(std::string_view text);
void finish_stdout();

/// A file that appears whole or not at all: written beside its place, then renamed into it; the old one stays until
/// then. The constructor already opens the temporary file, so that a bad directory is known before the long work.
///
/// Errors: Fault::kUser when there is no such directory; Fault::kMachine when it cannot be written to.
class OutputFile {
 public:
  explicit OutputFile(std::string path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Makes it appear. Nothing may be written afterwards.
  void commit();

 private:
  [[noreturn]] void fail(int problem) const;
  void try_room();
  std::string path_, temporary_;  ///< temporary_ empty: path_ is no regular file and is written in place
  int fd_ = -1;
};

/// Errors as above, when a file of this name could not be created or replaced.
void check_writable(const std::string& path);

}  // namespace saccade::app
