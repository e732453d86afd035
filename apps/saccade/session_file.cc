#include "apps/saccade/session_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/saccade/hash.h"
#include "apps/saccade/output.h"
#include "saccade/base/error.h"

namespace saccade::app {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxLine = 65536;

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  fail_user(fmt::format("session {}: {}; delete it or name another file", path, why));
}

std::string hash_of(const SavedSession& session) {
  return Hash().add_values<Token>(session.tokens).add_values<std::uint8_t>(session.state).text();
}

json read_line(std::FILE* file, const std::string& path) {
  std::string line;
  for (int c = 0; line.size() < kMaxLine && (c = std::fgetc(file)) != EOF && c != '\n';) line += static_cast<char>(c);
  json head = json::parse(line, nullptr, false);
  if (!head.is_object() || !head.contains("saccade_session")) refuse(path, "not a session of saccade");
  if (head["saccade_session"] != 1) refuse(path, "a session of another version of saccade");
  return head;
}

void check_key(const json& head, const std::string& path, const SessionKey& key) {
  const auto text = [&](const char* name) {
    return head.contains(name) && head[name].is_string() ? head[name].get<std::string>() : "";
  };
  if (!head.contains("model_bytes") || head["model_bytes"] != key.model_bytes ||
      text("model_fingerprint") != key.model_fingerprint)
    refuse(path, "it was made with another model");
  if (text("attn") != key.attn)
    refuse(path, fmt::format("it was made with --attn '{}', not '{}'", text("attn"), key.attn));
  if (text("llama") != key.llama)
    refuse(path, fmt::format("it was made with llama.cpp {}, not {}", text("llama"), key.llama));
  const double yarn = head.contains("yarn") && head["yarn"].is_number() ? head["yarn"].get<double>() : 1;
  if (yarn != key.yarn) refuse(path, fmt::format("it was made with --yarn {}, not {}", yarn, key.yarn));
}

}  // namespace

SessionKey session_key(const ModelFacts& model, const Attention& attention, double yarn) {
  return {.model_bytes = model.file_bytes,
          .model_fingerprint = model.fingerprint,
          .attn = attention.canonical,
          .llama = llama_version(),
          .yarn = yarn};
}

std::optional<SavedSession> load_session(const std::string& path, const SessionKey& key) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "rb"), close);
  if (!file) {
    if (errno == ENOENT) return std::nullopt;
    fail_machine(fmt::format("session {}: {}", path, std::strerror(errno)));
  }
  const json head = read_line(file.get(), path);
  check_key(head, path, key);
  const auto count = [&](const char* name) -> std::uint64_t {
    return head.contains(name) && head[name].is_number_unsigned() ? head[name].get<std::uint64_t>() : ~0ULL;
  };
  std::error_code error;
  const std::uint64_t bytes = std::filesystem::file_size(path, error);
  const auto at = static_cast<std::uint64_t>(std::ftell(file.get()));
  const auto n_tokens = count("n_tokens"), n_state = count("state_bytes");
  if (error || n_tokens > bytes / sizeof(Token) || n_state > bytes || at + n_tokens * sizeof(Token) + n_state != bytes)
    refuse(path, "it is damaged or cut short");
  SavedSession session{Tokens(n_tokens), std::vector<std::uint8_t>(n_state)};
  if (std::fread(session.tokens.data(), sizeof(Token), n_tokens, file.get()) != n_tokens ||
      std::fread(session.state.data(), 1, n_state, file.get()) != n_state)
    refuse(path, "it is damaged or cut short");
  if (!head.contains("hash") || head["hash"] != hash_of(session)) refuse(path, "it is damaged");
  return session;
}

void save_session(const std::string& path, const SessionKey& key, const SavedSession& session) {
  const json head = {{"saccade_session", 1},
                     {"model_bytes", key.model_bytes},
                     {"model_fingerprint", key.model_fingerprint},
                     {"attn", key.attn},
                     {"llama", key.llama},
                     {"yarn", key.yarn},
                     {"n_tokens", session.tokens.size()},
                     {"state_bytes", session.state.size()},
                     {"hash", hash_of(session)}};
  OutputFile file(path);
  file.write(head.dump() + "\n");
  file.write(std::as_bytes(std::span(session.tokens)));
  file.write(std::as_bytes(std::span(session.state)));
  file.commit();
}

}  // namespace saccade::app
