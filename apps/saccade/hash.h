#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace saccade::app {

/// A fast 64-bit hash to recognise files and tokens by; guards against accidents, not against forgers.
/// Source: the multiply-xorshift step of MurmurHash64A (Appleby, public domain), over 8 bytes at a time.
class Hash {
 public:
  Hash& add(std::span<const std::byte> bytes) {
    mix(bytes.size());
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + i, 8);
      mix(word);
    }
    std::uint64_t tail = 0;
    if (i < bytes.size()) std::memcpy(&tail, bytes.data() + i, bytes.size() - i);
    mix(tail);
    return *this;
  }
  template <class T>
  Hash& add_values(std::span<const T> values) {
    return add(std::as_bytes(values));
  }
  std::uint64_t value() const { return (state_ ^ (state_ >> 29)) * 0xBF58476D1CE4E5B9ULL; }
  std::string text() const {
    static const char* digits = "0123456789abcdef";
    std::string out;
    for (int shift = 60; shift >= 0; shift -= 4) out += digits[(value() >> shift) & 15];
    return out;
  }

 private:
  void mix(std::uint64_t word) {
    word *= 0xC6A4A7935BD1E995ULL;
    word ^= word >> 47;
    word *= 0xC6A4A7935BD1E995ULL;
    state_ = (state_ ^ word) * 0xC6A4A7935BD1E995ULL;
  }
  std::uint64_t state_ = 0x5ACCADE;
};

}  // namespace saccade::app
