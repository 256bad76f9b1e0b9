// What guards every answer of the console and of the owner's page. Pure.

#ifndef DEFERD_EXPORTER_CONSOLE_GUARDS_H_
#define DEFERD_EXPORTER_CONSOLE_GUARDS_H_

#include <functional>

#include "absl/strings/string_view.h"
#include "exporter/http_server.h"

namespace deferd {

inline constexpr absl::string_view kFormType = "application/x-www-form-urlencoded";

// What a browser says of where a form comes from; those that say nothing have SameSite and the
// form's own secret.
bool IsFromElsewhere(const HttpRequest& request);

// The owner's page needs no script, and its address must not be kept or indexed.
enum class PageKind { kConsole, kOwner };

// Nothing of a page may come from elsewhere, be written into it, or be shown inside another page.
void AddGuards(PageKind kind, HttpReply* reply);
// The same of an answer that may be made later, by its work. `late` makes what is answered instead
// if that takes too long (HttpReply::late).
void GuardAnswer(PageKind kind, std::function<HttpReply(bool begun)> late, HttpReply* reply);

// A file of the console, which browsers may keep: its address changes with its text.
HttpReply Asset(absl::string_view type, absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_EXPORTER_CONSOLE_GUARDS_H_
