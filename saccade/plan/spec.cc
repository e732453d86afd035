#include "saccade/plan/spec.h"

#include <fmt/format.h>

#include "saccade/base/error.h"
#include "saccade/plan/catalogue.h"
#include "saccade/plan/nearest.h"
#include "saccade/plan/quote.h"

namespace saccade {
namespace {

constexpr int kDeepest = 64;  // parentheses within parentheses; keeps the recursion off the end of the stack

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Takes the digits at the front of `text`; true if there were any.
bool take_digits(std::string_view& text) {
  const std::size_t before = text.size();
  while (!text.empty() && is_digit(text[0])) text.remove_prefix(1);
  return text.size() < before;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

/// "-1", "0.95", ".5", "1e-3"
bool is_number(std::string_view text) {
  take(text, '-');
  bool digits = take_digits(text);
  if (take(text, '.')) digits = take_digits(text) || digits;
  if (digits && (take(text, 'e') || take(text, 'E'))) {
    if (!take(text, '-')) take(text, '+');
    digits = take_digits(text);
  }
  return digits && text.empty();
}

/// "8x8", "4x16x16"
bool is_size(std::string_view text) {
  int n_sides = 0;
  do {
    if (!take_digits(text)) return false;
    ++n_sides;
  } while (take(text, 'x'));
  return text.empty() && (n_sides == 2 || n_sides == 3);
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Spec parse() {
    skip_spaces();
    if (at_end()) fail_user("spec is empty; write a mechanism, such as dense or window(1024)+sink(4)");
    Spec spec = read_spec();
    if (!at_end()) fail_expected("\"+\", \"&\" or the end");
    return spec;
  }

 private:
  Spec read_spec() { return read_joined(Spec::Kind::kUnion, '+'); }

  /// A union of intersections of factors: one rule, twice.
  Spec read_joined(Spec::Kind kind, char sign) {
    const auto read_part = [&] {
      return kind == Spec::Kind::kUnion ? read_joined(Spec::Kind::kIntersection, '&') : read_factor();
    };
    Spec first = read_part();
    if (at_end() || text_[at_] != sign) return first;
    Spec joined;
    joined.kind = kind;
    joined.parts.push_back(std::move(first));
    while (next_is(sign)) joined.parts.push_back(read_part());
    return joined;
  }

  Spec read_factor() {
    const std::size_t begin = at_;
    if (next_is('(')) {
      if (++depth_ > kDeepest) fail(begin, fmt::format("parentheses are nested more than {} deep", kDeepest));
      Spec spec = read_spec();
      if (!next_is(')')) fail_expected(at_end() ? "\")\"" : "\"+\", \"&\" or \")\"");
      --depth_;
      return spec;
    }
    Spec spec;
    spec.name = read_word();
    if (spec.name.empty()) fail_expected("a mechanism");
    if (next_is('(')) spec.args = read_args();
    return spec;
  }

  SpecArgs read_args() {
    SpecArgs args;
    if (next_is(')')) return args;
    if (at_end()) fail_expected("\")\"");
    do {
      args.push_back(read_arg());
    } while (next_is(','));
    if (!next_is(')')) fail_expected(at_end() ? "\")\"" : "\",\" or \")\"");
    return args;
  }

  std::pair<std::string, std::string> read_arg() {
    const std::size_t begin = at_;
    std::string name{read_word()};
    if (!name.empty() && next_is('=')) return {std::move(name), read_value()};
    at_ = begin;
    return {"", read_value()};
  }

  std::string read_value() {
    const std::size_t begin = at_;
    const auto exponent_sign = [&] {
      return at_ > begin && (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E') && !is_letter(text_[begin]);
    };
    while (!at_end()) {
      const char c = text_[at_];
      const bool sign = (c == '-' && at_ == begin) || ((c == '-' || c == '+') && exponent_sign());
      if (!is_letter(c) && !is_digit(c) && c != '.' && !sign) break;
      ++at_;
    }
    const std::string_view value = text_.substr(begin, at_ - begin);
    if (value.empty()) fail_expected("a value");
    const bool is_word = is_letter(value[0]) && value.find('.') == std::string_view::npos;
    if (!is_word && !is_number(value) && !is_size(value)) {
      fail(begin, fmt::format("{} is no number, word or size such as 8x8", quote(value)));
    }
    skip_spaces();
    return std::string(value);
  }

  std::string_view read_word() {
    const std::size_t begin = at_;
    if (at_end() || !is_letter(text_[at_])) return {};
    while (!at_end() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    skip_spaces();
    return word;
  }

  /// Takes the sign, and the spaces behind it, if it comes next.
  bool next_is(char sign) {
    if (at_end() || text_[at_] != sign) return false;
    ++at_;
    skip_spaces();
    return true;
  }

  void skip_spaces() {
    while (!at_end() && is_space(text_[at_])) ++at_;
  }

  bool at_end() const { return at_ == text_.size(); }

  [[noreturn]] void fail(std::size_t offset, std::string_view what) const {
    fail_user(fmt::format("spec {}: {} at character {}", quote(text_), what, character_at(text_, offset)));
  }

  [[noreturn]] void fail_expected(std::string_view what) const {
    if (at_end()) fail(at_, fmt::format("{} is missing", what));
    std::size_t n = 1;  // the whole UTF-8 character
    while (at_ + n < text_.size() && (static_cast<unsigned char>(text_[at_ + n]) & 0xC0) == 0x80) ++n;
    fail(at_, fmt::format("expected {}, got {}", what, quote(text_.substr(at_, n))));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

/// The one of them that the spec names; `what` they are stands in the error.
const MechanismInfo& named(const Spec& spec, const std::vector<const MechanismInfo*>& some, std::string_view what) {
  std::vector<std::string_view> known;
  for (const MechanismInfo* info : some) {
    if (info->name == spec.name) return *info;
    known.push_back(info->name);
  }
  fail_user(fmt::format("unknown {} {}; {}", what, quote(spec.name), suggest(spec.name, known)));
}

void want_one(const Spec& spec, std::string_view word, std::string_view such_as) {
  if (spec.kind == Spec::Kind::kMechanism) return;
  fail_user(fmt::format("{}: it is one mechanism, such as {}, got {}", word, such_as, quote(print_spec(spec))));
}

}  // namespace

Spec parse_spec(std::string_view text) { return Parser(text).parse(); }

std::string print_spec(const Spec& spec) {
  std::string out;
  if (spec.kind == Spec::Kind::kMechanism) {
    for (const auto& [name, value] : spec.args) {
      out += fmt::format("{}{}{}{}", out.empty() ? "(" : ",", name, name.empty() ? "" : "=", value);
    }
    return spec.name + out + (out.empty() ? "" : ")");
  }
  const bool is_union = spec.kind == Spec::Kind::kUnion;
  for (const Spec& part : spec.parts) {
    if (!out.empty()) out += is_union ? '+' : '&';
    const bool bare = part.kind == Spec::Kind::kMechanism || (is_union && part.kind == Spec::Kind::kIntersection);
    out += bare ? print_spec(part) : fmt::format("({})", print_spec(part));
  }
  return out;
}

ChoicePtr build_choice(const Spec& spec) {
  if (spec.kind == Spec::Kind::kMechanism) return named(spec, choices(), "mechanism").make_choice(spec.args);
  std::vector<ChoicePtr> parts;
  for (const Spec& part : spec.parts) parts.push_back(build_choice(part));
  return spec.kind == Spec::Kind::kUnion ? unite(std::move(parts)) : intersect(std::move(parts));
}

HeadEdit build_edit(const Spec& spec) {
  want_one(spec, "steer", "uniform or scale_head(0)");
  return named(spec, edits(), "edit").make_edit(spec.args);
}

float build_softcap(const Spec& spec) {
  want_one(spec, "weigh", "softmax or softcap(30)");
  return named(spec, weighers(), "way to weigh").make_softcap(spec.args);
}

}  // namespace saccade
