// A notice as a mail: headers, plain text and a small HTML page. Pure.

#ifndef DEFERD_EXPORTER_NOTICE_MAIL_TEXT_H_
#define DEFERD_EXPORTER_NOTICE_MAIL_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "exporter/notice/message.h"

namespace deferd {

struct MailFrame {
  std::string from;
  std::string to;    // as the header shows it
  std::string host;  // of Message-IDs
  std::string language;
  std::string title;  // the Subject:
};

// Of the Message-ID header, without its brackets. Nobody who does not know the notice's secret can
// guess it.
std::string MessageIdOf(const NoticeMessage& message, const MailFrame& frame);

// With CRLF. Mails of one thread refer to the same Message-ID; a mail that is sent again because
// its first delivery was in doubt has the same Message-ID.
std::string MailText(const NoticeMessage& message, const MailFrame& frame, absl::Time now);

// `text` as an RFC 2047 header value, printable ASCII in lines of at most 76 characters.
std::string HeaderText(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_EXPORTER_NOTICE_MAIL_TEXT_H_
