#include "saccade/judge/fidelity.h"

#include <algorithm>
#include <cmath>

namespace saccade::judge {
namespace {

/// log(sum(exp(logits))).
double log_sum_exp(std::span<const float> logits) {
  const float most = logits[top1(logits)];
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - most);
  return most + std::log(sum);
}

}  // namespace

std::size_t top1(std::span<const float> logits) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < logits.size(); ++i)
    if (logits[i] > logits[best] || std::isnan(logits[best])) best = i;
  return std::isnan(logits[best]) ? 0 : best;
}

double negative_log_likelihood(std::span<const float> logits, std::size_t token) {
  return log_sum_exp(logits) - logits[token];
}

double kl_divergence(std::span<const float> reference, std::span<const float> logits) {
  const double lse_p = log_sum_exp(reference), lse_q = log_sum_exp(logits);
  double sum = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const float p = std::exp(static_cast<float>(reference[i] - lse_p));
    // A token that the reference rules out adds nothing, even where its log-probability is -inf.
    if (p != 0) sum += p * ((reference[i] - lse_p) - (logits[i] - lse_q));
  }
  return sum < 0 ? 0 : sum;
}

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1) - 1);
  std::nth_element(values.begin(), nth, values.end(),
                   [](double a, double b) { return std::isnan(b) ? !std::isnan(a) : a < b; });
  return *nth;
}

void FidelityMeter::add(std::span<const float> reference, std::span<const float> logits, std::size_t next_token) {
  kl_.push_back(kl_divergence(reference, logits));
  nll_ += negative_log_likelihood(logits, next_token);
  agreed_ += top1(reference) == top1(logits) ? 1 : 0;
}

Fidelity FidelityMeter::result() const {
  if (kl_.empty()) return {.ppl = 1, .kl_mean = 0, .kl_p99 = 0, .top1_agreement = 0};
  const auto n = static_cast<double>(kl_.size());
  double sum = 0;
  for (const double kl : kl_) sum += kl;
  return {.ppl = std::exp(nll_ / n),
          .kl_mean = sum / n,
          .kl_p99 = percentile(kl_, 0.99),
          .top1_agreement = static_cast<double>(agreed_) / n};
}

}  // namespace saccade::judge
