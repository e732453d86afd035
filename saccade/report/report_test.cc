#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <regex>

#include "saccade/report/axis.h"
#include "saccade/report/depth_grid.h"
#include "saccade/report/html.h"
#include "saccade/report/labels.h"
#include "saccade/report/mass_panels.h"
#include "saccade/report/page.h"
#include "saccade/report/table.h"
#include "saccade/report/trade_chart.h"

namespace saccade::report {
namespace {

constexpr const char* kHostile = "</script><b onclick='x'>\"&amp;\x01\xff]]>";
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Empty when every tag is closed in turn and no text holds a bare < or &; else what is wrong. Style and script are
/// skipped.
std::string fault_of(std::string page) {
  page = std::regex_replace(page, std::regex("<(style|script)[^>]*>[^<]*</\\1>"), "");
  std::vector<std::string> open;
  for (std::size_t at = page.find("<html"); at < page.size();) {
    if (page[at] == '&' && !std::regex_search(page.substr(at, 8), std::regex("^&(amp|lt|gt|quot|#39);")))
      return "a bare & at " + page.substr(at, 20);
    if (page[at] != '<') {
      ++at;
      continue;
    }
    std::smatch match;
    const std::string rest = page.substr(at, 4000);
    if (!std::regex_search(
            rest, match,
            std::regex("^<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:\\s+[a-zA-Z][a-zA-Z0-9:-]*=\"[^\"<]*\")*)\\s*(/?)>")))
      return "no tag at " + rest.substr(0, 60);
    if (match[1] == "/") {
      if (open.empty() || open.back() != match[2]) return "</" + match[2].str() + "> closes nothing";
      open.pop_back();
    } else if (match[4] != "/") {
      open.push_back(match[2]);
    }
    at += static_cast<std::size_t>(match.length());
  }
  return open.empty() ? "" : "<" + open.back() + "> stays open";
}

std::vector<TradePoint> points() {
  return {{"dense", 0, 1, "the reference"}, {"fast", 0.01, 4, ""},         {"slow and bad", 0.1, 2, ""},
          {"faster", 0.2, 5, ""},           {kHostile, 0.01, 3, kHostile}, {"broken", kNan, 9, ""}};
}

Page page_of(const std::string& name) {
  Page page{
      .title = name, .lead = name, .facts = {{name, name}}, .sections = {}, .data = {{name, name}, {"nan", kNan}}};
  page.sections.push_back(
      {name, name, table({{name}, {"n", Better::kMore}}, {{{name, {}}, {"1", 1.0}}, {{"b", {}}, {"2", 2.0}}})});
  page.sections.push_back({"trade", "", trade_chart({name, name, points(), {{name, 0, 7, ""}}})});
  page.sections.push_back(
      {"grid", "", depth_grid({"1", "2"}, name, {{name, {{true, name}, {false, name}}}, {"b", {{}, {}}}})});
  page.sections.push_back(
      {"mass", "", mass_panels({{name, {{0, 0, 0.1, 0.5, name}, {23, 1, kNan, 0.5, ""}}}, {"empty", {}}})});
  return page;
}

TEST(Escaped, WorkedByHand) {
  EXPECT_EQ(escaped("a<b> & \"c\" 'd'"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
  EXPECT_EQ(escaped("\xC3\xA9\t\n"), "\xC3\xA9\t\n");
  EXPECT_EQ(escaped(std::string("\0\x1b\x7f\xff", 4)), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  for (const char* broken : {"\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"})
    EXPECT_EQ(escaped(broken).find_first_not_of("\xEF\xBF\xBD"), std::string::npos) << "not UTF-8";
}

TEST(ScriptJson, CannotEndTheScriptAndComesBack) {
  const nlohmann::ordered_json json = {{"a", "</script><!--"}, {"b", "&amp;"}, {"c", 1.5}};
  const auto text = script_json(json);
  EXPECT_EQ(text.find_first_of("<>&"), std::string::npos);
  EXPECT_EQ(nlohmann::ordered_json::parse(text), json);
}

TEST(Shortened, KeepsBothEnds) {
  EXPECT_EQ(shortened("abcdefghij", 10), "abcdefghij");
  EXPECT_EQ(shortened("abcdefghij", 7), "abcd\xE2\x80\xA6ij");
  EXPECT_EQ(length_of(shortened(std::string(500, 'x'), 40)), 40U);
}

TEST(Page, IsWellFormedWhateverTheNames) {
  for (const std::string& name : {std::string("plain"), std::string(kHostile), std::string()})
    EXPECT_EQ(fault_of(html_of(page_of(name))), "") << name;
}

TEST(Page, HostileNamesAreTextOnly) {
  const auto html = html_of(page_of(kHostile));
  EXPECT_EQ(html.find("<b onclick"), std::string::npos);
  EXPECT_EQ(html.find('\x01'), std::string::npos);
  EXPECT_EQ(html.find('\xff'), std::string::npos);
  const auto count = [&](const std::string& word) {
    std::size_t n = 0;
    for (auto at = html.find(word); at != std::string::npos; at = html.find(word, at + 1)) ++n;
    return n;
  };
  EXPECT_EQ(count("</script>"), 2U) << "the data's and the page's own";
}

TEST(Page, HoldsTheDataAndNeedsNoNetwork) {
  const auto html = html_of(page_of("plain"));
  std::smatch match;
  ASSERT_TRUE(
      std::regex_search(html, match, std::regex("<script type=\"application/json\" id=\"data\">([^<]*)</script>")));
  EXPECT_EQ(nlohmann::json::parse(match[1].str())["plain"], "plain");
  for (const char* outside : {" src=", "href=", "@import", "url("})
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
  EXPECT_NE(html.find("prefers-color-scheme: dark"), std::string::npos);
}

TEST(ParetoFront, WorkedByHand) {
  EXPECT_EQ(pareto_front(points()), (std::vector<bool>{true, true, false, true, false, false}));
  EXPECT_EQ(pareto_front({{"a", 1, 1, ""}, {"a", 1, 1, ""}}), (std::vector<bool>{true, true}))
      << "equals do not beat each other";
  EXPECT_TRUE(pareto_front({}).empty());
}

TEST(TradeChart, NamesWhatItCannotDraw) {
  EXPECT_NE(trade_chart({"x", "y", points(), {}}).find("not finite: broken"), std::string::npos);
  EXPECT_EQ(fault_of("<html>" + trade_chart({"x", "y", {}, {}}) + "</html>"), "") << "nothing to draw";
}

TEST(Axis, TicksAreRoundAndEncloseTheValues) {
  for (const double most : {0.3, 1.0, 1.06, 6.9, 7.1, 23.0, 100.0}) {
    const auto axis = Axis::from_zero(most);
    EXPECT_GE(axis.ticks().back().value, most * (1 - 1e-9));
    EXPECT_LE(axis.ticks().size(), 9U) << most;
    EXPECT_GE(axis.ticks().size(), 3U) << most;
  }
  auto log = Axis::powers_of_ten(0.002, 0.3).place(0, 300);
  EXPECT_EQ(log.ticks().front().text, "0.001");
  EXPECT_NEAR(log.at(0.01), 100, 1e-9);
  EXPECT_EQ(log.at(1e-9), 0) << "held inside";
  EXPECT_EQ(Axis::powers_of_ten(1, 1).ticks().size(), 2U);
  EXPECT_EQ(Axis::halves_of_one(0.1).place(0, 4).at(0.25), 2);
  EXPECT_EQ(Axis::from_zero(kNan).ticks().back().value, 1);
}

TEST(PlaceLabels, TwentyOfThemDoNotCoverEachOther) {
  std::vector<Labelled> marks;
  for (int i = 0; i < 20; ++i) marks.push_back({.x = 300 + 40.0 * (i % 5), .y = 200 + 30.0 * (i / 5), .width = 90});
  const Box room{0, 0, 1000, 500};
  const auto labels = place_labels(marks, room);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    EXPECT_NEAR(overlap(labels[i], room), labels[i].width * labels[i].height, 1e-9) << "inside";
    for (std::size_t j = 0; j < i; ++j) EXPECT_LT(overlap(labels[i], labels[j]), 0.2 * 90 * 14) << i << " and " << j;
  }
}

TEST(PlaceLabels, NearAndNotBehindAnotherMark) {
  const std::vector<Labelled> marks{{.x = 500, .y = 200, .width = 90}, {.x = 470, .y = 200, .width = 90}};
  const auto label = place_labels(marks, {0, 0, 580, 500})[0];
  EXPECT_GE(label.x + label.width, 470 + 8) << "no room at its right, but at its left it would be the other mark's";
  EXPECT_FALSE(label.y < 200 && label.y + label.height > 200) << "so it stands above or below";
  EXPECT_EQ(place_labels({{.x = 300, .y = 200, .width = 90}}, {0, 0, 1000, 500})[0].x, 310)
      << "at the right where it is free";
}

TEST(DepthGrid, CountsRowsAndColumns) {
  const auto grid =
      depth_grid({"5", "95"}, "depth", {{"a", {{true, ""}, {false, ""}}}, {"b", {{true, ""}, {true, ""}}}});
  for (const char* sum : {">1/2<", ">2/2<", ">2<", ">1<"}) EXPECT_NE(grid.find(sum), std::string::npos) << sum;
}

TEST(Table, TheBestIsMarkedWhereThereIsOne) {
  const std::vector<Column> columns{{"name"}, {"ms", Better::kLess}, {"n", Better::kMore}, {"same", Better::kMore}};
  const auto markup =
      table(columns, {{{"a", {}}, {"3", 3.0}, {"4", 4.0}, {"1", 1.0}}, {{"b", {}}, {"2", 2.0}, {"-", {}}, {"1", 1.0}}});
  EXPECT_NE(markup.find("<td data-value=\"2\" class=\"best\">2</td>"), std::string::npos);
  EXPECT_EQ(markup.find("class=\"best\">3"), std::string::npos);
  EXPECT_EQ(markup.find("class=\"best\">1"), std::string::npos) << "all are alike";
}

}  // namespace
}  // namespace saccade::report
