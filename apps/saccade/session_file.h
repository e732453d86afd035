#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/saccade/engine.h"

namespace saccade::app {

/// Keys and values of a text on disk: one line of JSON, the tokens, llama.cpp's state of the sequence.
struct SavedSession {
  Tokens tokens;
  std::vector<std::uint8_t> state;
};

/// What a session must have been made with to be of use: model, attention, llama.cpp, the stretch of the context.
struct SessionKey {
  std::uint64_t model_bytes = 0;
  std::string model_fingerprint, attn, llama;
  double yarn = 1;
  bool operator==(const SessionKey&) const = default;
};
SessionKey session_key(const ModelFacts& model, const Attention& attention, double yarn);

/// Nothing when there is no such file. Errors: Fault::kUser, one line, when the file is foreign, damaged, cut short, or
/// made with something else.
std::optional<SavedSession> load_session(const std::string& path, const SessionKey& key);

/// Appears whole or not at all; an old file stays until then. Errors: Fault::kMachine.
void save_session(const std::string& path, const SessionKey& key, const SavedSession& session);

}  // namespace saccade::app
