#include "apps/saccade/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "saccade/base/error.h"

namespace saccade::app {

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    fail_machine(fmt::format("cannot write to stdout: {}", std::strerror(errno)));
}

void finish_stdout() { print(""); }

OutputFile::OutputFile(std::string path) : path_(std::move(path)) {
  if (path_.empty()) fail_user("an output file needs a name");
  struct stat info {};
  const bool exists = ::stat(path_.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) fail_user(fmt::format("cannot write {}: it is a directory", path_));
  if (exists && !S_ISREG(info.st_mode)) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    temporary_ = fmt::format("{}.{}.tmp", path_, ::getpid());
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  }
  const int problem = errno;
  if (fd_ >= 0) {
    try_room();
    return;
  }
  temporary_.clear();
  if (problem == ENOENT || problem == ENOTDIR)
    fail_user(fmt::format("cannot write {}: there is no such directory", path_));
  fail(problem);
}

/// A full disk still creates empty files: write something and take it back.
void OutputFile::try_room() {
  if (temporary_.empty()) return;
  const int problem = ::write(fd_, " ", 1) != 1                                    ? errno
                      : ::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) != 0 ? errno
                                                                                   : 0;
  if (problem == 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
  fail(problem);
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::fail(int problem) const {
  fail_machine(fmt::format("cannot write {}: {}", path_, std::strerror(problem)));
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(n == 0 ? ENOSPC : errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void OutputFile::commit() {
  if (!temporary_.empty() && ::fsync(fd_) != 0) fail(errno);
  const int closed = ::close(fd_);
  fd_ = -1;
  if (closed != 0) fail(errno);
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(errno);
  temporary_.clear();
}

void check_writable(const std::string& path) {
  OutputFile file(path);
  file.write(" ");
}

}  // namespace saccade::app
