// The pages of the console, each a function of its visitor and the address's parameters.

#ifndef DEFERD_EXPORTER_CONSOLE_PAGES_H_
#define DEFERD_EXPORTER_CONSOLE_PAGES_H_

#include "exporter/api/form.h"
#include "exporter/console/page.h"
#include "exporter/http_server.h"

namespace deferd {

// What needs a person, who is blocked, who fails most.
HttpReply NowPage(const Visitor& visitor, const Form& form);
// One subject: `name`.
HttpReply SubjectPage(const Visitor& visitor, const Form& form);
// What became of mail, by the filters of `form`; one row for each recipient.
HttpReply TrackPage(const Visitor& visitor, const Form& form);
// The same rows as a file for spreadsheets.
HttpReply TrackCsv(const Visitor& visitor, const Form& form);
// The life of the message `id`.
HttpReply MessagePage(const Visitor& visitor, const Form& form);
HttpReply QueuePage(const Visitor& visitor, const Form& form);
HttpReply DestinationsPage(const Visitor& visitor, const Form& form);
// What the answer `text` means.
HttpReply ExplainPage(const Visitor& visitor, const Form& form);
HttpReply PolicyPage(const Visitor& visitor, const Form& form);
// The same with what the policy of the text `toml` would have done.
HttpReply TriedPolicyPage(const Visitor& visitor, const Form& form);

// Carries out what a form of a page asks for, and leads to the page that shows it.
HttpReply Act(const Visitor& visitor, const Form& form);

}  // namespace deferd

#endif  // DEFERD_EXPORTER_CONSOLE_PAGES_H_
