#include "exporter/console/delivery_table.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "exporter/console/page.h"
#include "policy/fault.h"
#include "policy/reply/reply_class.h"
#include "policy/reply/reply_wrapping.h"

namespace deferd {
namespace {

std::string SenderOf(const Json& row) {
  const std::string sender = Field(row, "sender");
  return sender.empty() ? "<>" : sender;
}

// Whether no spreadsheet takes a cell that begins so for a formula: known are = + - @, a tab, a
// line end, and their wide forms, all of them also behind blanks. Rather a quote too many than a
// program that runs, so this lists what may stay.
bool IsPlain(absl::string_view text) {
  return text.empty() || absl::ascii_isalnum(text[0]) ||
         absl::string_view("<[(.:/_#*\"'").find(text[0]) != absl::string_view::npos;
}

std::string CsvCell(absl::string_view text) {
  std::string cell = IsPlain(text) ? "" : "'";
  absl::StrAppend(&cell, absl::StrReplaceAll(text, {{"\"", "\"\""}}));
  return absl::StrCat("\"", cell, "\"");
}

}  // namespace

std::string StateOfRow(const Json& row) { return Field(row, "state"); }

std::string ReasonOfRow(const Json& row) {
  const std::string state = StateOfRow(row);
  if (state == "refused by us") return "sender blocked";
  if (state == "delivered") {
    const int64_t tries = Number(row, "tries");
    return tries > 1 ? absl::StrCat("after ", tries, " tries") : "";
  }
  const std::optional<ReplyClass> reply_class = ParseReplyClass(Field(row, "class"));
  return reply_class.has_value() ? std::string(WordsOf(*reply_class).reason) : "";
}

void WriteDeliveries(Html* html, const Json& rows, absl::string_view caption, bool links) {
  HtmlTable table(html, caption, {"State", "Time", "From", "To", "Reason", "Answer"});
  for (const Json& one : rows) {
    const std::string state = StateOfRow(one);
    const Html::Scope row =
        table.Row({{"class", state == "delivered" || state == "archived" ? "" : "undelivered"}});
    {
      const Html::Scope cell = table.Cell(0);
      WriteState(html, state);
    }
    {
      const Html::Scope cell = table.Cell(1);
      const std::string id = Field(one, "id");
      if (id.empty() || !links) {
        WriteTime(html, Field(one, "time"));
      } else {
        const Html::Scope link = html->InLink(MessageUrl(id));
        WriteTime(html, Field(one, "time"));
      }
    }
    for (const auto& [column, address] :
         {std::pair(size_t{2}, SenderOf(one)), std::pair(size_t{3}, Field(one, "recipient"))}) {
      const Html::Scope cell = table.Cell(column);
      html->PutAs("span", "address", address.empty() ? absl::string_view("–") : address);
    }
    table.Text(4, ReasonOfRow(one));
    const Html::Scope cell = table.Cell(5);
    // What the server said comes first: the MTA's sentence around it is in the title.
    const std::string reply = Field(one, "reply");
    absl::string_view stage;
    const absl::string_view said = WithoutWrapping(reply, &stage);
    html->Put("span", said.empty() ? absl::string_view("–") : said,
              {{"class", "reply"}, {"title", reply}});
  }
}

std::string DeliveriesCsv(const Json& rows) {
  static constexpr const char* kFields[] = {"time", "state", "sender", "recipient", "class",
                                            "host", "ip",    "reply",  "id",        "subject"};
  std::string out;
  for (const char* field : kFields) absl::StrAppend(&out, out.empty() ? "" : ",", field);
  out += "\r\n";
  for (const Json& row : rows) {
    bool first = true;
    for (const char* field : kFields) {
      absl::StrAppend(&out, first ? "" : ",", CsvCell(Field(row, field)));
      first = false;
    }
    out += "\r\n";
  }
  return out;
}

}  // namespace deferd
