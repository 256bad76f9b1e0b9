#include "limiter/admin/admin_pages.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kWidth = 80;

// A field as text that cannot disturb a terminal; "" if it is absent or null.
std::string Field(const Json& json, const char* name) {
  auto it = json.find(name);
  if (it == json.end() || it->is_null()) return "";
  return PrintableUtf8(it->is_string() ? it->get<std::string>() : Dump(*it));
}

int64_t Number(const Json& json, const char* name) {
  auto it = json.find(name);
  return it != json.end() && it->is_number() ? it->get<int64_t>() : 0;
}

bool Flag(const Json& json, const char* name) {
  auto it = json.find(name);
  return it != json.end() && *it == true;
}

// "2026-11-22 10:15:04" of an RFC 3339 time; the pages say once that times are UTC.
std::string ShortTime(const std::string& utc) {
  std::string text = utc.substr(0, 19);
  std::replace(text.begin(), text.end(), 'T', ' ');
  return text;
}

// Text in lines of at most kWidth, the first after `label`, the others below it.
std::string Wrapped(const std::string& label, const std::string& text) {
  std::string out;
  std::string line = label;
  size_t begin = 0;
  const std::string indent(label.size(), ' ');
  bool fresh = true;
  while (begin < text.size()) {
    size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (!fresh && line.size() + 1 + word.size() > kWidth) {
      absl::StrAppend(&out, line, "\n");
      line = indent;
      fresh = true;
    }
    absl::StrAppend(&line, fresh ? "" : " ", word);
    fresh = false;
    begin = end + 1;
  }
  absl::StrAppend(&out, line, "\n");
  return out;
}

// A table: columns as wide as their widest cell, the last one cut so that a row fits.
std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&line, row[i]);
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    if (line.size() > kWidth) line = absl::StrCat(CutUtf8(line, kWidth - 3), "...");
    absl::StrAppend(&out, line, "\n");
  }
  return out;
}

std::string Cause(const Json& record) {
  if (Flag(record, "manual")) {
    const std::string reason = Field(record, "reason");
    return absl::StrCat("by ", Field(record, "by"), reason.empty() ? "" : ": ", reason);
  }
  return absl::StrFormat("rule %s: %d bad, %d%% (limits %d, %d%%)", Field(record, "rule"),
                         Number(record, "count"), Number(record, "percent"),
                         Number(record, "min_bad"), Number(record, "percent_limit"));
}

}  // namespace

std::string StatusPage(const Json& status) {
  const Json& policy = status["policy"];
  std::string out =
      absl::StrFormat("deferd %s, node %s, mode %s, up %s\n", Field(status, "version"),
                      Field(status, "node"), Field(status, "mode"), Field(status, "uptime"));
  absl::StrAppend(&out, "policy   ", Field(policy, "path"), " (", Field(policy, "hash"),
                  "), loaded ", ShortTime(Field(policy, "loaded")), " UTC\n");
  if (Flag(policy, "stale")) {
    absl::StrAppend(&out,
                    Wrapped("         ", "THE LAST RELOAD FAILED, this older policy is in force: " +
                                             Field(policy, "error")));
  }
  for (const Json& source : status["sources"]) {
    const std::string problem = Field(source, "problem");
    absl::StrAppend(&out, "log      ", Field(source, "path"), ": ",
                    problem.empty()
                        ? absl::StrFormat("%.1f s behind, %d gaps",
                                          source.value("lag_seconds", 0.0), Number(source, "gaps"))
                        : problem,
                    "\n");
  }
  const Json& lines = status["lines"];
  absl::StrAppendFormat(&out, "lines    %d read: %d attempts, %d rejections, %d malformed\n",
                        Number(lines, "lines"), Number(lines, "attempts"),
                        Number(lines, "rejected"), Number(lines, "malformed"));
  absl::StrAppendFormat(&out, "subjects %d live, %d blocked, %d in shadow\n",
                        Number(status, "subjects"), Number(status, "blocked"),
                        Number(status, "shadow"));
  for (const auto& [door, address] : status["listening"].items()) {
    absl::StrAppendFormat(&out, "%-8s %s\n", door, PrintableUtf8(address.get<std::string>()));
  }
  if (!Flag(status, "unchecked")) {
    out += "answers  checked: all that the logs say is counted\n";
  } else {
    for (const Json& cause : status["causes"]) {
      absl::StrAppend(&out, Wrapped("UNCHECKED: ", PrintableUtf8(cause.get<std::string>())));
    }
  }
  return out;
}

std::string CheckPage(const Json& check) {
  std::string out = absl::StrCat(Field(check, "subject"), ": ", Field(check, "verdict"),
                                 Flag(check, "unchecked") ? " (unchecked)" : "", "\n");
  if (!Field(check, "text").empty()) absl::StrAppend(&out, Wrapped("  ", Field(check, "text")));
  if (Flag(check, "unchecked")) {
    for (const Json& cause : check["causes"]) {
      absl::StrAppend(&out, Wrapped("  because ", PrintableUtf8(cause.get<std::string>())));
    }
  }
  return out;
}

std::string WhyPage(const Json& why) {
  const Json& window = why["window"];
  const Json& record = why["case"];
  std::string out = absl::StrCat(Field(why, "subject"), ": ", Field(why, "state"), "\n\n");
  if (!record.is_null()) {
    absl::StrAppend(&out, Flag(record, "shadow") ? "Would be blocked (shadow) " : "Blocked ",
                    ShortTime(Field(record, "since")), " until ", ShortTime(Field(record, "until")),
                    " UTC\n");
    absl::StrAppend(&out, Wrapped("  ", Cause(record)));
    if (!Flag(record, "manual")) {
      absl::StrAppendFormat(
          &out, "  counted then: %d delivered, %d deferred, %d failed; %d of %d is %d%%\n",
          Number(record, "delivered"), Number(record, "deferred"), Number(record, "failed"),
          Number(record, "count"), Number(record, "count") + Number(record, "delivered"),
          Number(record, "percent"));
    }
    const bool shadow = Flag(record, "shadow");
    absl::StrAppend(
        &out, Wrapped("  ", absl::StrCat(shadow ? "an MTA would be told: " : "an MTA is told: ",
                                         Field(record, "action"))));
    if (!shadow) {
      absl::StrAppend(&out, "  to end it now: deferctl unblock ", Field(why, "subject"), "\n");
    }
    out += "\n";
  }
  absl::StrAppendFormat(&out, "Now: %d delivered, %d deferred, %d failed; %d bad, %d%%\n",
                        Number(window, "delivered"), Number(window, "deferred"),
                        Number(window, "failed"), Number(window, "bad"), Number(window, "percent"));
  std::vector<std::vector<std::string>> rows;
  for (const Json& rule : why["rules"]) {
    std::string verdict = "not reached";
    if (Flag(rule, "off")) verdict = "off: it gives no percent";
    if (Flag(rule, "tripped")) verdict = "REACHED";
    if (Flag(rule, "shadow")) verdict += " (shadow)";
    rows.push_back(
        {"  rule " + Field(rule, "name"),
         absl::StrCat(Number(rule, "bad"), " of ", Number(rule, "min_bad"), " bad"),
         absl::StrCat(Number(rule, "bad_percent"), "% of ", Number(rule, "percent"), "%"),
         "in " + Field(rule, "window"), verdict});
  }
  out += Table(rows);
  if (why["rules"].empty()) out += "  no rule judges this subject\n";
  if (Flag(why, "exempt")) out += "  exempt: counted, never blocked by a rule\n";
  if (!Field(why, "cleared_at").empty()) {
    absl::StrAppend(&out, "  counted from the step after ", ShortTime(Field(why, "cleared_at")),
                    " UTC on: a block ended\n");
  }
  if (!why["events"].empty()) {
    out += "\nRecord (UTC)\n";
    rows.clear();
    for (const Json& event : why["events"]) {
      rows.push_back({"  " + ShortTime(Field(event, "time")), Field(event, "change"),
                      absl::StrCat("by ", Field(event, "by"),
                                   Field(event, "by") == "rule" ? " " : "", Field(event, "rule")),
                      Field(event, "reason")});
    }
    out += Table(rows);
  }
  return out;
}

std::string BlocksPage(const Json& blocks) {
  if (blocks.empty()) return "no blocks\n";
  std::vector<std::vector<std::string>> rows = {{"SUBJECT", "STATE", "UNTIL (UTC)", "CAUSE"}};
  for (const Json& record : blocks) {
    const bool shadow = Flag(record, "shadow") && Field(record, "state") == "blocked";
    const bool closed = Field(record, "state") == "closed";
    rows.push_back({Field(record, "subject"), shadow ? "shadow" : Field(record, "state"),
                    ShortTime(Field(record, closed ? "closed_at" : "until")).substr(0, 16),
                    Cause(record)});
  }
  return Table(rows);
}

std::string BlockedPage(const Json& block) {
  return absl::StrCat(Field(block, "subject"), ": blocked until ", ShortTime(Field(block, "until")),
                      " UTC\n");
}

std::string UnblockedPage(const Json& block) {
  return absl::StrCat(
      Field(block, "subject"), ": unblocked\n",
      Wrapped("  it was ", absl::StrCat(Flag(block, "shadow") ? "in shadow" : "blocked", " since ",
                                        ShortTime(Field(block, "since")), " UTC, ", Cause(block))),
      "  only attempts from now on count\n");
}

std::string TopPage(const Json& top) {
  if (top.empty()) return "nothing in the window\n";
  std::vector<std::vector<std::string>> rows = {
      {"BAD", "SHARE", "DEFERRED", "FAILED", "DELIVERED", "SUBJECT"}};
  for (const Json& one : top) {
    rows.push_back({Field(one, "bad"), Field(one, "percent") + "%", Field(one, "deferred"),
                    Field(one, "failed"), Field(one, "delivered"), Field(one, "subject")});
  }
  return Table(rows);
}

std::string ReloadedPage(const Json& policy) {
  return absl::StrCat("reloaded: ", Field(policy, "path"), " (", Field(policy, "hash"), "), mode ",
                      Field(policy, "mode"), "\n");
}

}  // namespace deferd
