// linear_experts(): each token of each slot gets the bits of linear() with its expert's matrix, and those are right.

#include "saccade/linear/experts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <deque>
#include <limits>

#include "saccade/kernel/linear.h"
#include "tests/linear/linear_case.h"
#include "tests/support/attend_case.h"
#include "tests/support/error_line.h"
#include "tests/support/random.h"

namespace saccade::testing {
namespace {

struct ExpertsShape {
  LinearCase matrix;  ///< of each expert; n_tokens of it: pairs of a token and a slot
  Pos n_experts = 4, n_slots = 2;
  bool same_x = true;  ///< the slots of a token read the same
  enum class Routing { kRandom, kOne, kFew } routing = Routing::kRandom;

  Pos n_tokens() const { return matrix.n_tokens / n_slots; }
};

/// A mixture of experts, each of which is a LinearProblem.
class Experts {
 public:
  explicit Experts(const ExpertsShape& shape) : shape_(shape) {
    const LinearCase& c = shape.matrix;
    Random random(c.seed + 3);
    for (Pos e = 0; e < shape.n_experts; ++e) {
      LinearCase one = c;
      one.seed = c.seed + 1000 * static_cast<std::uint64_t>(e);
      const ParamView params = problems_.emplace_back(one).params();
      const auto* data = static_cast<const std::byte*>(params.data);
      bytes_.insert(bytes_.end(), data, data + c.n_rows / block_of(c.type).n_rows * params.row_stride);
    }
    for (Pos pair = 0; pair < c.n_tokens; ++pair) {
      const Pos most = shape.routing == ExpertsShape::Routing::kRandom ? shape.n_experts : 2;
      experts_.push_back(shape.routing == ExpertsShape::Routing::kOne
                             ? static_cast<std::int32_t>(shape.n_experts - 1)
                             : static_cast<std::int32_t>(random.between(0, most - 1)));
    }
  }

  /// Of the pair, as its problem numbers it: slots of a token share the first one's where they read the same.
  Pos row(Pos pair) const { return shape_.same_x ? pair / shape_.n_slots * shape_.n_slots : pair; }
  std::int32_t expert(Pos pair) const { return experts_[static_cast<std::size_t>(pair)]; }
  std::vector<std::int32_t>& routes() { return experts_; }

  ExpertsCall call(std::vector<float>& y) const {
    const LinearCase& c = shape_.matrix;
    const ParamView first = problems_.front().params();
    const Pos y_slot = c.n_rows + c.y_gap;
    y.assign(static_cast<std::size_t>(c.n_tokens * y_slot), std::numeric_limits<float>::quiet_NaN());
    return {.x = problems_.front().inputs().x.data(),
            .x_stride = shape_.n_slots * c.dim,
            .x_slot_stride = shape_.same_x ? 0 : c.dim,
            .experts = experts_.data(),
            .experts_stride = shape_.n_slots,
            .params = {bytes_.data(), c.type, c.n_rows, c.dim, first.row_stride},
            .expert_stride = static_cast<std::ptrdiff_t>(bytes_.size()) / shape_.n_experts,
            .n_experts = shape_.n_experts,
            .y = y.data(),
            .y_stride = shape_.n_slots * y_slot,
            .y_slot_stride = y_slot,
            .n_tokens = shape_.n_tokens(),
            .n_slots = shape_.n_slots,
            .precision = c.precision};
  }

  std::vector<float> run(int team) const {
    static LinearWorkspace used;
    std::vector<float> y;
    linear_experts(call(y), team_of(team), used);
    return y;
  }

  /// The pair's token, which is the first problem's, with its expert's matrix.
  std::vector<float> by_linear(Pos pair) const {
    const LinearCase& c = shape_.matrix;
    std::vector<float> y(static_cast<std::size_t>(c.n_rows));
    const LinearProduct product{problems_[static_cast<std::size_t>(expert(pair))].params(), y.data(), c.n_rows};
    LinearWorkspace workspace;
    linear({problems_.front().inputs().token(row(pair)), c.dim, 1, c.dim, {&product, 1}, c.precision}, team_of(1),
           workspace);
    return y;
  }

  Expected expect(Pos pair) {
    LinearProblem& problem = problems_[static_cast<std::size_t>(expert(pair))];
    const float* token = problems_.front().inputs().token(row(pair));
    problem.set_token(pair, {token, token + shape_.matrix.dim});
    return problem.expect(pair);
  }

 private:
  ExpertsShape shape_;
  std::deque<LinearProblem> problems_;
  std::vector<std::byte> bytes_;
  std::vector<std::int32_t> experts_;
};

void check_shape(const ExpertsShape& shape) {
  const LinearCase& c = shape.matrix;
  SCOPED_TRACE(::testing::Message() << c << ", " << shape.n_experts << " experts, " << shape.n_slots << " slots"
                                    << (shape.same_x ? ", same x" : ""));
  Experts experts(shape);
  const std::vector<float> y = experts.run(c.team);
  const Pos stride = c.n_rows + c.y_gap;
  for (Pos pair = 0; pair < c.n_tokens; ++pair) {
    const std::vector<float> row(y.begin() + pair * stride, y.begin() + pair * stride + c.n_rows);
    ASSERT_EQ(row, experts.by_linear(pair)) << "pair " << pair;
    for (Pos gap = c.n_rows; gap < stride; ++gap)
      ASSERT_TRUE(std::isnan(y[static_cast<std::size_t>(pair * stride + gap)]));
  }
  const Pos last = c.n_tokens - 1;
  EXPECT_TRUE(judge(experts.expect(last),
                    std::span(y).subspan(static_cast<std::size_t>(last * stride), static_cast<std::size_t>(c.n_rows)),
                    nullptr, c.seed));
}

/// In each precision; bf16 is emulated where there is no matrix unit.
class ExpertsTest : public ::testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (!kernel::has_linear()) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  }
};

TEST_P(ExpertsTest, GiveEachTokenItsExpertsProductInAnyShape) {
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    Random random(seed + 7);
    ExpertsShape shape{.matrix = draw_linear_case(seed, GetParam())};
    shape.n_slots = random.pick<Pos>({1, 2, 3, 4});
    shape.matrix.n_tokens = random.pick<Pos>({1, 5, 30, 64}) * shape.n_slots;
    shape.n_experts = random.pick<Pos>({1, 2, 5, 8});
    shape.same_x = random.one_in(2);
    shape.routing = random.one_in(3) ? ExpertsShape::Routing::kOne : ExpertsShape::Routing::kRandom;
    if (shape.n_experts >= 2 && random.one_in(3)) shape.routing = ExpertsShape::Routing::kFew;
    check_shape(shape);
  }
}

TEST_P(ExpertsTest, MoreTokensThanABatchHolds) {
  for (const auto routing : {ExpertsShape::Routing::kRandom, ExpertsShape::Routing::kOne}) {
    const LinearCase matrix{.seed = 50,
                            .type = ParamFormat::q4_0,
                            .n_tokens = 2100,
                            .n_rows = 66,
                            .dim = 64,
                            .team = 2,
                            .precision = GetParam()};
    check_shape({.matrix = matrix, .n_experts = 5, .n_slots = 3, .routing = routing});
  }
}

TEST_P(ExpertsTest, TheTeamChangesNoBit) {
  const Experts experts({.matrix = {.seed = 51,
                                    .type = ParamFormat::q6_k,
                                    .n_tokens = 300,
                                    .n_rows = 130,
                                    .dim = 512,
                                    .precision = GetParam()}});
  const std::vector<float> alone = experts.run(1);
  for (const int team : {2, 3, 7}) EXPECT_EQ(experts.run(team), alone) << team;
}

TEST_P(ExpertsTest, NothingToDo) {
  const Experts experts({.matrix = {.seed = 52, .n_tokens = 4, .n_rows = 3, .dim = 256, .precision = GetParam()}});
  for (const auto& empty : {std::pair<Pos, Pos>{0, 2}, {2, 0}}) {
    std::vector<float> y;
    ExpertsCall call = experts.call(y);
    call.n_tokens = empty.first, call.n_slots = empty.second;
    LinearWorkspace workspace;
    linear_experts(call, team_of(1), workspace);
    EXPECT_TRUE(std::isnan(y[0]));
  }
}

TEST_P(ExpertsTest, Errors) {
  Experts experts(
      {.matrix = {
           .seed = 53, .type = ParamFormat::q4_k, .n_tokens = 4, .n_rows = 3, .dim = 256, .precision = GetParam()}});
  std::vector<float> y;
  ExpertsCall call = experts.call(y);
  LinearWorkspace workspace;
  const auto line = [&] { return error_line([&] { linear_experts(call, team_of(1), workspace); }); };
  EXPECT_EQ(line(), "no error");
  experts.routes()[3] = 4;
  EXPECT_EQ(line(), "linear: experts must be in [0, 4), got 4");
  experts.routes()[3] = -1;
  EXPECT_EQ(line(), "linear: experts must be in [0, 4), got -1");
  experts.routes()[3] = 0, call.y_slot_stride = 2;
  EXPECT_EQ(line(), "linear: y_slot_stride must be >= n_rows 3, got 2");
  call.y_slot_stride = 3, call.params.dim = 100;
  EXPECT_EQ(line(), "linear: params of type q4_k, 100 wide, are not for this CPU");
  call.params.dim = 0;
  EXPECT_EQ(line(), "linear: n_tokens and n_slots must be >= 0 and dim >= 1, got 2, 2 and 0");
  call.params.dim = 256, call.precision = Precision::kF32;
  EXPECT_EQ(line(), "linear: precision must be auto, i16 or bf16, got f32");
}

INSTANTIATE_TEST_SUITE_P(In, ExpertsTest, ::testing::Values(Precision::kI16, Precision::kBf16),
                         [](const auto& test) { return std::string(name_of(test.param)); });

}  // namespace
}  // namespace saccade::testing
