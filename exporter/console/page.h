// What every page of the console is made of: the frame around it, and the pieces that look the same
// everywhere.
//
// Pages are functions from a visitor and the address's parameters to HTML. They read through the
// visitor's caller alone, so a page can show nothing that the API would refuse to the same token.

#ifndef DEFERD_EXPORTER_CONSOLE_PAGE_H_
#define DEFERD_EXPORTER_CONSOLE_PAGE_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "exporter/api/caller.h"
#include "exporter/api/token_book.h"
#include "exporter/console/html.h"
#include "exporter/http_server.h"
#include "limiter/ctl/why_head.h"
#include "limiter/localrpc/json.h"

namespace deferd {

// Who looks at a page.
struct Visitor {
  const Token* token = nullptr;
  const Caller* caller = nullptr;
  std::string csrf;
  absl::TimeZone zone;
  absl::Time now;

  // By the method and path of a resource of the API.
  bool May(absl::string_view method, absl::string_view path) const;
  absl::StatusOr<Json> Get(absl::string_view path, Json args = Json::object(),
                           const std::string& subject = "") const;
  absl::StatusOr<Json> Post(absl::string_view path, Json args,
                            const std::string& subject = "") const;
};

// The addresses of the pages.
Url SubjectUrl(absl::string_view subject);
Url MessageUrl(absl::string_view id);
Url OwnerUrl(absl::string_view link);

// A whole page: the visitor's frame with `content` in it. `here`: the path of the entry of the
// navigation that it belongs to.
HttpReply PageReply(const Visitor& visitor, absl::string_view here, absl::string_view title,
                    absl::FunctionRef<void(Html*)> content);
// A page without a visitor: the login.
HttpReply BarePage(int code, absl::string_view title, absl::FunctionRef<void(Html*)> content);
// A page that needs no script, for people who have no log-in: the owner's.
HttpReply PlainPage(int code, absl::string_view title, absl::FunctionRef<void(Html*)> content);
HttpReply RedirectTo(const Url& url);
// What went wrong, in place of what a page would show.
void WriteProblem(Html* html, const absl::Status& status);
// That what a form asked for is done.
void WriteDone(Html* html);

// The head of a subject's banner: its mark, name and state, and what goes below them.
void WriteBannerTitle(Html* html, const WhyLines& head);

// A state in colour, with its mark and word: "delivered", "blocked", ...
struct StateLook {
  Literal css_class;
  absl::string_view mark;
};
StateLook LookOf(absl::string_view state);
void WriteState(Html* html, absl::string_view state);

// An RFC 3339 time as a person says it, in the visitor's zone; "" writes a dash.
void WriteTime(Html* html, const std::string& utc);

void WriteNumber(Html* html, int64_t number);
void WriteSubject(Html* html, const std::string& subject);

// A table with a heading row. `columns` that begin with '#' hold numbers.
class HtmlTable {
 public:
  HtmlTable(Html* html, absl::string_view caption, const std::vector<absl::string_view>& columns);

  Html::Scope Row(const Attributes& attributes = {}) { return html_->In("tr", attributes); }
  // A cell of a row; on narrow screens its column's name stands before it.
  Html::Scope Cell(size_t column);
  void Text(size_t column, absl::string_view text);
  void Number(size_t column, int64_t number);

 private:
  Html* const html_;
  std::vector<std::string> names_;
  std::vector<bool> numbers_;
  Html::Scope wrap_, table_, body_;
};

// A row of a list of facts (dl); an empty text writes none.
void WriteFact(Html* html, absl::string_view name, const std::string& text);

// Parts of forms.
void WriteCsrf(Html* html, const Visitor& visitor);
void WriteHidden(Html* html, absl::string_view name, absl::string_view value);
struct InputOptions {
  Literal type = "text";
  absl::string_view placeholder;
  bool required = false;
};
void WriteInput(Html* html, Literal name, absl::string_view label, absl::string_view value,
                const InputOptions& options = {});

}  // namespace deferd

#endif  // DEFERD_EXPORTER_CONSOLE_PAGE_H_
