#include "plugins/llama/see_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>

#include "saccade/base/error.h"

namespace saccade::llama {

SeeFile::SeeFile(std::string path, std::string_view probes, Warn warn)
    : path_(std::move(path)), warn_(std::move(warn)), sums_(probes) {
  if (!std::ofstream(draft())) fail_machine("cannot write " + path_ + ": " + std::strerror(errno));
  std::remove(draft().c_str());
  set_judge(this);
}

SeeFile::~SeeFile() {
  if (judge_now() == this) set_judge(nullptr);
  try {
    const std::lock_guard lock(mutex_);
    if (!written_ && !stopped_) write();
  } catch (const std::exception&) {  // the process ends: nobody can be told
  }
}

void SeeFile::expect(int layer) {
  const std::lock_guard lock(mutex_);
  end_layer_ = std::max(end_layer_, layer);
}

void SeeFile::miss(int layer, Pos n_queries) {
  const std::lock_guard lock(mutex_);
  if (!stopped_) sums_.miss(layer, n_queries);
}

std::span<RowProbe* const> SeeFile::prepare(bool window) {
  const std::lock_guard lock(mutex_);
  return stopped_ ? std::span<RowProbe* const>() : sums_.prepare(window);
}

void SeeFile::look(const JudgedCall& judged) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return;
  const bool is_prompt = judged.call.q.len > 1;
  try {
    if (judged.layer <= last_layer_ && !written_ && is_prompt) write();  // what was before the prompt
    sums_.look(judged);
    last_layer_ = judged.layer;
    written_ = false;
    const bool ends_batch = end_layer_ >= 0 && judged.layer >= end_layer_;
    const bool is_late = std::chrono::steady_clock::now() - written_at_ > std::chrono::seconds(1);
    if (ends_batch && (is_prompt || is_late)) write();
  } catch (const std::exception& error) {
    stopped_ = true;
    warn_(error.what());
  }
}

/// Of this process alone.
std::string SeeFile::draft() const { return path_ + "." + std::to_string(getpid()); }

void SeeFile::write() {
  std::ofstream file(draft(), std::ios::binary);
  file << sums_.print();
  file.close();
  if (!file || std::rename(draft().c_str(), path_.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    std::remove(draft().c_str());
    fail_machine("cannot write " + path_ + ": " + why);
  }
  written_ = true;
  written_at_ = std::chrono::steady_clock::now();
}

}  // namespace saccade::llama
