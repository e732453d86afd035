#include "apps/saccade/inspect_prove.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "apps/saccade/context_options.h"
#include "apps/saccade/copy_watch.h"
#include "apps/saccade/exam.h"
#include "apps/saccade/inspect_gaze.h"
#include "apps/saccade/inspect_report.h"
#include "apps/saccade/output.h"
#include "apps/saccade/progress.h"
#include "apps/saccade/reading.h"
#include "apps/saccade/record.h"
#include "apps/saccade/text_file.h"
#include "plugins/llama/backend.h"
#include "plugins/llama/watcher.h"
#include "saccade/base/error.h"
#include "saccade/judge/fidelity.h"
#include "saccade/plan/quote.h"

namespace saccade::app {
namespace {

/// Masks and questions on one prefill.
class Prover {
 public:
  /// `gaze`: what else sees the text as it is read, and the question of the needle `shown`; null: nobody.
  Prover(const Model& model, const Attention& attention, const Exam& exam, const ContextOptions& made_with, Gaze* gaze,
         std::size_t shown)
      : model_(model),
        attention_(attention),
        exam_(exam),
        context_(model, attention, made_with),
        watch_(model.facts().n_layers, model.facts().n_heads),
        gaze_(gaze),
        shown_(shown) {
    record_.n_prompt = static_cast<std::int64_t>(exam.text.size() + exam.questions[shown].size());
    record_.n_text_given = record_.n_text_used = static_cast<std::int64_t>(exam.text.size()) - exam.text_begin;
    record_.n_ctx = context_.n_ctx();
    record_.n_threads = made_with.n_threads;
    record_.n_ubatch = context_.n_ubatch();
    record_.yarn = made_with.yarn;
  }

  double read() {
    Progress progress("reading", static_cast<std::int64_t>(exam_.text.size()));
    const Watch watch([this](int layer, const AttendCall& call, const float* lse, Team& team) {
      if (gaze_) gaze_->look(layer, call, lse, team);
    });
    llama::reset_record();
    const Timer timer;
    prefill(context_, exam_.text, exam_.text.size(), progress);
    record_.prefill_s = timer.seconds();
    record_.prefilled = llama::record();
    rewind_ = std::make_unique<Rewind>(context_, model_);
    return record_.prefill_s;
  }

  /// Asks for the i-th needle with these heads masked.
  std::string answer_without(std::span<const judge::HeadPlace> heads, const Spec& edit, std::size_t i) {
    llama::use_plan(std::make_shared<const Plan>(judge::ablated(*attention_.plan, heads, edit)));
    return answer(i, false);
  }

  /// Asks with all heads, and watches them.
  std::string watched_answer(std::size_t i) {
    llama::use_plan(attention_.plan);
    watch_.begin(exam_.sentences[i]);
    const bool shows = gaze_ && i == shown_;
    const Watch watch([this, shows](int layer, const AttendCall& call, const float* lse, Team& team) {
      watch_.look(layer, call, lse, team);
      if (shows) gaze_->look(layer, call, lse, team);
    });
    const Timer timer;
    std::string text = answer(i, true);
    if (!shows) return text;
    record_.decode_s = timer.seconds();
    record_.stop = "end";
    record_.n_generated = record_.n_decoded = static_cast<std::int64_t>(answered_.size());
    record_.attended = llama::record();
    record_.kv_bytes = context_.kv_bytes();
    shown_words_ = answered_;
    return text;
  }

  const CopyWatch& watch() const { return watch_; }
  /// Of the text and the question that the gaze saw, once it has been asked; and the answer's tokens.
  const RunRecord& record() const { return record_; }
  const std::vector<std::string>& shown_words() const { return shown_words_; }

 private:
  /// Nobody watches any more when this is gone.
  struct Watch {
    explicit Watch(llama::Watcher watcher) { llama::set_watcher(std::move(watcher)); }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() { llama::set_watcher({}); }
  };

  std::string answer(std::size_t i, bool watched) {
    (*rewind_)();
    ask(context_, exam_.questions[i]);
    std::string text;
    answered_.clear();
    auto next = static_cast<Token>(judge::top1(context_.logits(-1)));
    // The sentence's end is enough: the answer is one.
    for (std::int64_t n = 0; n < kAnswer && !model_.ends(next) && text.find_first_of(".\n") == text.npos; ++n) {
      if (watched) watch_.emitted(next);
      answered_.push_back(model_.piece(next));
      text += answered_.back();
      context_.decode({&next, 1});
      next = static_cast<Token>(judge::top1(context_.logits(0)));
    }
    return one_line(text, 200);
  }

  const Model& model_;
  const Attention& attention_;
  const Exam& exam_;
  Context context_;
  CopyWatch watch_;
  Gaze* gaze_;
  std::size_t shown_;
  RunRecord record_{.model = "", .stop = "", .attention = attention_};
  std::vector<std::string> answered_, shown_words_;  // of the newest question, and of the one shown
  std::unique_ptr<Rewind> rewind_;
};

/// What all heads found, and which of them copied it.
struct Baseline {
  judge::HeadScores scores;
  judge::HeadScores most_looked;  ///< counts
  int n_found = 0;
};

Baseline watch_all(Prover& prover, const Exam& exam, const ModelFacts& model, Proof& proof) {
  Baseline base{judge::HeadScores(model.n_layers, model.n_heads), judge::HeadScores(model.n_layers, model.n_heads)};
  Progress progress("asking with all heads", static_cast<std::int64_t>(exam.needles.size()), "questions");
  for (std::size_t i = 0; i < exam.needles.size(); ++i) {
    ProvenNeedle needle{.depth = exam.depths[i],
                        .sentence = exam.sentences[i],
                        .needle = exam.needles[i],
                        .answer = prover.watched_answer(i)};
    needle.found = judge::holds_word(needle.answer, needle.needle.secret);
    proof.needles.push_back(needle);
    progress.at(static_cast<std::int64_t>(i + 1));
    if (!needle.found) continue;
    ++base.n_found;
    for (int layer = 0; layer < model.n_layers; ++layer) {
      for (int head = 0; head < model.n_heads; ++head) {
        base.scores.at(layer, head) +=
            see::retrieval_score(prover.watch().steps(layer, head), exam.secrets[i], exam.text);
        if (prover.watch().first(layer, head).is_most_looked_at()) ++base.most_looked.at(layer, head);
      }
    }
  }
  for (double& score : base.scores.values) score /= std::max(1, base.n_found);
  return base;
}

/// The heads to be masked: the top ones, and others that copied next to nothing.
void choose_heads(const Baseline& base, std::size_t n, Proof& proof) {
  judge::HeadScores others = base.scores;
  for (const auto place : judge::top_heads(base.scores, n)) {
    others.at(place.layer, place.head) = std::numeric_limits<double>::infinity();
    proof.top.push_back({.place = place,
                         .score = base.scores.at(place.layer, place.head),
                         .n_most_looked = static_cast<int>(base.most_looked.at(place.layer, place.head))});
  }
  proof.random = judge::random_heads(others, n, judge::kRetrievalHead);
  if (proof.random.size() < n)
    fail_user(fmt::format("--prove retrieval: {} heads are to be masked, but only {} others score below {}", n,
                          proof.random.size(), judge::kRetrievalHead));
  proof.n_retrieval_heads = static_cast<int>(
      std::ranges::count_if(base.scores.values, [](double score) { return score >= judge::kRetrievalHead; }));
}

void ask_masked(Prover& prover, const Spec& edit, Proof& proof) {
  std::vector<judge::HeadPlace> top;
  for (const auto& head : proof.top) top.push_back(head.place);
  Progress progress("asking with heads masked", static_cast<std::int64_t>(proof.needles.size()), "questions");
  for (std::size_t i = 0; i < proof.needles.size(); ++i) {
    ProvenNeedle& needle = proof.needles[i];
    needle.answer_top = prover.answer_without(top, edit, i);
    needle.found_top = judge::holds_word(needle.answer_top, needle.needle.secret);
    needle.answer_random = prover.answer_without(proof.random, edit, i);
    needle.found_random = judge::holds_word(needle.answer_random, needle.needle.secret);
    progress.at(static_cast<std::int64_t>(i + 1));
  }
}

void check_heads(const InspectOptions& options, const ModelFacts& model) {
  const std::int64_t n_heads = std::int64_t{model.n_layers} * model.n_heads;
  if (n_heads < 2 * options.n_masked)
    fail_user(fmt::format("--prove retrieval: masking {} heads and as many others takes {} heads, the model has {}",
                          options.n_masked, 2 * options.n_masked, n_heads));
}

std::int64_t context_of_proof(const InspectOptions& options, const ModelFacts& model) {
  constexpr std::int64_t kLong = 16384;
  return options.given_ctx ? options.n_ctx : std::min(kLong, most_context(options, model));
}

nlohmann::ordered_json json_of(const judge::HeadPlace& place) { return {{"layer", place.layer}, {"head", place.head}}; }

template <class Found>
std::int64_t count(const Proof& proof, Found found) {
  return std::ranges::count_if(proof.needles, found);
}

/// What the gaze is to keep of the text and the question that the report shows.
GazeShape gaze_shape(const Exam& exam, std::size_t shown, const ModelFacts& model) {
  GazeShape shape{.n_layers = model.n_layers, .n_heads = model.n_heads};
  shape.text = {exam.text_begin, static_cast<Pos>(exam.text.size())};
  shape.n_prompt = shape.text.end + static_cast<Pos>(exam.questions[shown].size());
  shape.question = {shape.text.end, shape.n_prompt};
  shape.n_most = shape.n_prompt + kAnswer;
  shape.chosen = parse_heads("", model);
  for (Pos i = 0; i < kAnswer; ++i) shape.rows.push_back(shape.n_prompt - 1 + i);
  return shape;
}

void write_report(const InspectOptions& options, const Model& model, const Exam& exam, const Prover& prover,
                  const Gaze& gaze, const Proof& proof) {
  Tokens tokens = exam.text;
  tokens.insert(tokens.end(), exam.questions[proof.shown].begin(), exam.questions[proof.shown].end());
  InspectedText text = inspected_text(model, tokens, prover.shown_words(), prover.record().n_decoded);
  text.file = options.text, text.question = exam.needles[proof.shown].question;
  RunRecord record = prover.record();
  record.model = options.model;
  auto report = inspect_report(gaze, record, text);
  report["proof"] = to_json(proof);
  write_page(report, options.output);
}

}  // namespace

nlohmann::ordered_json to_json(const Proof& proof) {
  using Json = nlohmann::ordered_json;
  Json top = Json::array(), random = Json::array(), needles = Json::array();
  for (const auto& head : proof.top) {
    top.push_back(json_of(head.place));
    top.back()["score"] = head.score;
    top.back()["n_most_looked"] = head.n_most_looked;
  }
  for (const auto& place : proof.random) random.push_back(json_of(place));
  for (const auto& one : proof.needles)
    needles.push_back({{"depth", one.depth},
                       {"begin", one.sentence.begin},
                       {"end", one.sentence.end},
                       {"question", one.needle.question},
                       {"secret", one.needle.secret},
                       {"answer", one.answer},
                       {"found", one.found},
                       {"answer_top_masked", one.answer_top},
                       {"found_top_masked", one.found_top},
                       {"answer_random_masked", one.answer_random},
                       {"found_random_masked", one.found_random}});
  return {{"prove", "retrieval"},
          {"model", proof.model},
          {"attn", proof.attn},
          {"edit", proof.edit},
          {"n_prompt", proof.n_prompt},
          {"n_needles", proof.needles.size()},
          {"found", count(proof, &ProvenNeedle::found)},
          {"found_top_masked", count(proof, &ProvenNeedle::found_top)},
          {"found_random_masked", count(proof, &ProvenNeedle::found_random)},
          {"n_heads", proof.n_heads},
          {"n_retrieval_heads", proof.n_retrieval_heads},
          {"top", std::move(top)},
          {"random", std::move(random)},
          {"shown", proof.shown},
          {"needles", std::move(needles)},
          {"prefill_s", proof.prefill_s},
          {"questions_s", proof.questions_s}};
}

std::string to_text(const Proof& proof) {
  const auto n = proof.needles.size(), n_masked = proof.top.size();
  const auto found = [n](std::int64_t count) { return fmt::format("{} of {} needles found", count, n); };
  std::string grids[3];
  for (const auto& one : proof.needles) {
    grids[0] += one.found ? '#' : '.';
    grids[1] += one.found_top ? '#' : '.';
    grids[2] += one.found_random ? '#' : '.';
  }
  std::string text = fmt::format(
      "{:<34} {}  {}\n{:<34} {}  {}\n{:<34} {}  {}\n", fmt::format("all heads, {} tokens", proof.n_prompt),
      found(count(proof, &ProvenNeedle::found)), grids[0], fmt::format("top {} retrieval heads masked", n_masked),
      found(count(proof, &ProvenNeedle::found_top)), grids[1], fmt::format("{} random other heads masked", n_masked),
      found(count(proof, &ProvenNeedle::found_random)), grids[2]);
  text += fmt::format("{} of {} heads score {} or more; masked by {}, behind the text\n\n", proof.n_retrieval_heads,
                      proof.n_heads, judge::kRetrievalHead, proof.edit);
  text += "head     score  needle is what the answer's first token looked at most\n";
  for (const auto& head : proof.top)
    text += fmt::format("{:<8} {:>5.2f}  {} of {}\n", fmt::format("{}.{}", head.place.layer, head.place.head),
                        head.score, head.n_most_looked, count(proof, &ProvenNeedle::found));
  return text;
}

void prove_command(const InspectOptions& options) {
  check(options);
  const std::string text = read_text(options.text);
  const Attention attention = attention_of(options);
  const Spec edit = parse_spec(options.steer);
  build_edit(edit);
  if (!options.output.empty()) check_writable(options.output);
  ModelFacts facts = read_model_file(options.model);
  check(attention, facts);
  check(options, facts);
  check_heads(options, facts);

  const Model model(options.model, std::move(facts), options.verbose, attention);
  const Exam exam = make_exam(model, text, static_cast<std::size_t>(options.n_needles),
                              context_of_proof(options, model.facts()), options.raw);
  const auto n_ctx =
      options.given_ctx ? options.n_ctx : std::min(most_context(options, model.facts()), round_ctx(exam.n_most()));
  const bool reports = options.output.ends_with(".html");
  const std::size_t shown = exam.needles.size() / 2;
  std::optional<Gaze> gaze;
  if (reports) gaze.emplace(gaze_shape(exam, shown, model.facts()));
  Prover prover(model, attention, exam,
                context_options(options, {&attention, 1}, static_cast<std::int64_t>(exam.text.size()), n_ctx),
                gaze ? &*gaze : nullptr, shown);
  Proof proof{.model = options.model, .attn = attention.typed, .edit = print_spec(edit)};
  proof.n_prompt = static_cast<std::int64_t>(exam.text.size());
  proof.shown = shown;
  proof.n_heads = model.facts().n_layers * model.facts().n_heads;
  proof.prefill_s = prover.read();
  const Timer timer;
  const Baseline base = watch_all(prover, exam, model.facts(), proof);
  if (base.n_found == 0)
    fail_user(
        fmt::format("--prove retrieval: with all heads this model finds none of {} needles in {} tokens, so there "
                    "is nothing to lose; a smaller -c may help",
                    exam.needles.size(), proof.n_prompt));
  choose_heads(base, static_cast<std::size_t>(options.n_masked), proof);
  ask_masked(prover, edit, proof);
  proof.questions_s = timer.seconds();
  if (reports) write_report(options, model, exam, prover, *gaze, proof);
  if (!options.output.empty() && !reports) {
    std::vector<judge::HeadPlace> top;
    for (const auto& head : proof.top) top.push_back(head.place);
    OutputFile file(options.output);
    file.write(judge::ablated(*attention.plan, top, edit).print() + "\n");
    file.commit();
  }
  print(options.json ? to_json(proof).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
                     : to_text(proof));
}

}  // namespace saccade::app
