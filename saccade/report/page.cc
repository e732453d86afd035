#include "saccade/report/page.h"

#include <fmt/format.h>

#include "saccade/report/html.h"

namespace saccade::report {
namespace {

/// Blue, orange and green of Okabe & Ito 2008, which stay apart with any colour vision; lighter ones on dark.
constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --page: #fbfaf8; --panel: #ffffff; --ink: #1c1e21; --muted: #62676f; --line: #dcdad5;
  --grid: #ecebe7; --blue: #0072b2; --orange: #c75000; --green: #00805f; --wash: #e9f2f8; }
@media (prefers-color-scheme: dark) { :root { --page: #14161a; --panel: #1c1f24; --ink: #eceae6; --muted: #9ba1ab;
  --line: #363b43; --grid: #292d34; --blue: #62b8ec; --orange: #f5a04c; --green: #3ecfa2; --wash: #1f303c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", "Liberation Sans", "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 56px; }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 8px; }
h2 { font-size: 19px; letter-spacing: -0.01em; margin: 0 0 2px; }
.lead { font-size: 17px; margin: 0 0 20px; max-width: 76ch; }
.note { color: var(--muted); margin: 0 0 16px; max-width: 92ch; }
dl { display: flex; flex-wrap: wrap; gap: 10px 28px; margin: 0 0 28px; padding: 14px 0; border-top: 1px solid var(--line);
  border-bottom: 1px solid var(--line); }
dt { color: var(--muted); font-size: 12px; line-height: 1.3; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 22px 24px; margin: 0 0 20px; }
.wide { overflow-x: auto; }
svg { display: block; max-width: 100%; height: auto; font: 12px/1 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans",
  "DejaVu Sans", sans-serif; }
svg text { fill: var(--ink); }
svg .muted { fill: var(--muted); }
svg .strong { font-weight: 650; }
svg .name { font-family: ui-monospace, "SF Mono", Menlo, "Liberation Mono", "DejaVu Sans Mono", monospace; font-size: 11.5px; }
svg .grid { stroke: var(--grid); stroke-width: 1; }
svg .axis { stroke: var(--line); stroke-width: 1; }
svg .thread { stroke: var(--muted); stroke-width: 0.75; opacity: 0.7; }
svg .dash { stroke: var(--muted); stroke-width: 1.25; stroke-dasharray: 5 4; fill: none; }
svg .front { stroke: var(--blue); stroke-width: 2; fill: none; stroke-linejoin: round; }
svg .wash { fill: var(--wash); }
svg .best { fill: var(--blue); stroke: var(--panel); stroke-width: 1.5; }
svg .other { fill: var(--panel); stroke: var(--orange); stroke-width: 2; }
svg .halo { paint-order: stroke; stroke: var(--panel); stroke-width: 4px; stroke-linejoin: round; }
svg .early { fill: var(--blue); fill-opacity: 0.55; }
svg .middle { fill: var(--orange); fill-opacity: 0.6; }
svg .late { fill: var(--green); fill-opacity: 0.6; }
svg .yes { fill: var(--blue); }
svg .no { fill: none; stroke: var(--orange); stroke-width: 1.5; }
svg .tick { fill: none; stroke: var(--panel); stroke-width: 2.4; stroke-linecap: round; stroke-linejoin: round; }
svg .cross { fill: none; stroke: var(--orange); stroke-width: 1.8; stroke-linecap: round; }
.panels { margin-top: 14px; display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 18px 20px; }
.panels h3 { font: 600 13px/1.35 ui-monospace, "SF Mono", Menlo, "Liberation Mono", "DejaVu Sans Mono", monospace; margin: 0;
  overflow-wrap: anywhere; }
.panels p { color: var(--muted); font-size: 13px; margin: 0 0 4px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: 7px 8px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--grid); }
th { color: var(--muted); font-weight: 500; font-size: 12.5px; vertical-align: bottom; border-bottom-color: var(--line); }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--panel); padding-left: 0; }
td:first-child { font: 600 12.5px/1.5 ui-monospace, "SF Mono", Menlo, "Liberation Mono", "DejaVu Sans Mono", monospace; }
tbody tr:hover td { background: var(--wash); }
td.best { font-weight: 700; }
.script th { cursor: pointer; }
th[aria-sort=ascending]::after { content: " \2191"; }
th[aria-sort=descending]::after { content: " \2193"; }
#hint { position: fixed; display: none; pointer-events: none; max-width: 420px; padding: 7px 10px; border-radius: 6px; z-index: 9;
  background: var(--ink); color: var(--page); font-size: 13px; line-height: 1.4; white-space: pre-line; }
footer { color: var(--muted); font-size: 13px; }
@media print { section { break-inside: avoid; } }
)";

/// No < and no &: the file stays well-formed XML.
constexpr const char* kScript = R"(
document.body.classList.add("script");
for (const head of document.querySelectorAll("th")) head.addEventListener("click", () => {
  const table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
  const down = head.getAttribute("aria-sort") !== "descending";
  for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const order = (a, b) => isNaN(key(a)) || isNaN(key(b)) ? key(b).localeCompare(key(a)) : key(b) - key(a);
  const rows = Array.from(body.rows).sort(order);
  body.append(...(down ? rows : rows.reverse()));
});
const hint = document.getElementById("hint");
for (const title of document.querySelectorAll("svg title")) {
  const mark = title.parentNode, text = title.textContent;
  mark.setAttribute("aria-label", text);
  title.remove();
  mark.addEventListener("pointerenter", () => { hint.textContent = text; hint.style.display = "block"; });
  mark.addEventListener("pointermove", event => {
    hint.style.left = Math.min(event.clientX + 14, innerWidth - hint.offsetWidth - 8) + "px";
    hint.style.top = Math.min(event.clientY + 16, innerHeight - hint.offsetHeight - 8) + "px";
  });
  mark.addEventListener("pointerleave", () => { hint.style.display = "none"; });
}
)";

std::string facts_of(const std::vector<Fact>& facts) {
  std::string list;
  for (const auto& fact : facts)
    list += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", escaped(fact.name), escaped(fact.text));
  return list.empty() ? "" : "<dl>\n" + list + "</dl>\n";
}

std::string section_of(const Section& section) {
  return fmt::format("<section>\n<h2>{}</h2>\n<p class=\"note\">{}</p>\n{}</section>\n", escaped(section.heading),
                     escaped(section.note), section.markup);
}

}  // namespace

std::string html_of(const Page& page) {
  std::string body;
  for (const auto& section : page.sections) body += section_of(section);
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\" />\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n<title>{0}</title>\n"
      "<style>{1}</style>\n</head>\n<body>\n<main>\n<h1>{0}</h1>\n<p class=\"lead\">{2}</p>\n{3}{4}"
      "<footer>Written by saccade. The numbers are in this file, as JSON.</footer>\n</main>\n<div id=\"hint\"></div>\n"
      "<script type=\"application/json\" id=\"data\">{5}</script>\n<script>{6}</script>\n</body>\n</html>\n",
      escaped(page.title), kStyle, escaped(page.lead), facts_of(page.facts), body, script_json(page.data), kScript);
}

}  // namespace saccade::report
