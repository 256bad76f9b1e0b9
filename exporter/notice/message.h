// What a notice says, before it takes the form of a mail or of JSON.
//
// The facts are those that the event was stored with; who caused the trouble and what to do comes
// from the page that `deferctl why` shows, as it is when the notice is sent. Texts from logs may be
// hostile: everything here is valid UTF-8 without control characters. Pure.

#ifndef DEFERD_EXPORTER_NOTICE_MESSAGE_H_
#define DEFERD_EXPORTER_NOTICE_MESSAGE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "limiter/localrpc/json.h"
#include "limiter/store/outbox.h"

namespace deferd {

struct NoticeMessage {
  std::string title;
  Severity severity = Severity::kInfo;
  std::vector<std::pair<std::string, std::string>> lines;  // label and text
  std::string link;  // to the page of the case, and what it is called; empty: none
  std::string link_label;
  std::string footer;
  std::string thread;
  std::string id;      // of the newest notice in it
  std::string secret;  // and its secret
};

// An owner does not read which of the administrators it was.
enum class NoticeReader { kOperator, kOwner };

// One notice with what is known of it. `why`: as WhyJson gives it; null if it is about no sender.
// `folded`: how many further notices of the same thread it stands for.
NoticeMessage MessageOf(const Notice& notice, const Json& why, int folded,
                        absl::string_view language, NoticeReader reader = NoticeReader::kOperator);

// Many notices in one message: a line each, at most kStormLines of them.
inline constexpr size_t kStormLines = 50;
NoticeMessage StormMessage(const std::vector<Notice>& notices, absl::string_view language);

// {"id", "event", "severity", "time", "subject", "domain", "node", "title", "lines": [{"label",
// "text"}], "facts"}: what webhooks and commands get.
Json EventJson(const Notice& notice, const Json& why, absl::string_view node);

// The JSON schema of EventJson.
Json EventSchema();

}  // namespace deferd

#endif  // DEFERD_EXPORTER_NOTICE_MESSAGE_H_
