#include "apps/saccade/reference_logits.h"

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "apps/saccade/hash.h"
#include "apps/saccade/output.h"

namespace saccade::app {
namespace {

using nlohmann::json;

std::string path_beside(const ResumeFile& resume) { return resume.path() + ".reference"; }

}  // namespace

bool ReferenceLogits::load(const ResumeFile& resume) {
  if (resume.path().empty()) return false;
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path_beside(resume).c_str(), "rb"), close);
  if (!file) return false;
  std::string line;
  for (int c = 0; line.size() < 4096 && (c = std::fgetc(file.get())) != EOF && c != '\n';) line += static_cast<char>(c);
  const json head = json::parse(line, nullptr, false);
  if (!head.is_object() || head.value("comparison", "") != resume.comparison()) return false;
  const auto n = n_positions * n_vocab;
  values.resize(n);
  if (std::fread(values.data(), sizeof(float), n, file.get()) != n) return false;
  return head.value("hash", "") == Hash().add_values<float>(values).text();
}

void ReferenceLogits::save(const ResumeFile& resume) const {
  if (resume.path().empty()) return;
  OutputFile file(path_beside(resume));
  file.write(json{{"comparison", resume.comparison()}, {"hash", Hash().add_values<float>(values).text()}}.dump() +
             "\n");
  file.write(std::as_bytes(std::span(values)));
  file.commit();
}

}  // namespace saccade::app
