#include "exporter/notice/mail_text.h"

#include <openssl/sha.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "policy/html_text.h"
#include "policy/text.h"

namespace deferd {

namespace {

// An identifier may hold what a Message-ID may not.
std::string Digest(absl::string_view text) {
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(hash), 12));
}

std::string Base64Lines(absl::string_view text) {
  const std::string all = absl::Base64Escape(text);
  std::string lines;
  for (size_t i = 0; i < all.size(); i += 76) absl::StrAppend(&lines, all.substr(i, 76), "\r\n");
  return lines;
}

std::string Plain(const NoticeMessage& message) {
  std::string text = absl::StrCat(message.title, "\r\n\r\n");
  for (const auto& [label, line] : message.lines) {
    absl::StrAppend(&text, label.empty() ? "" : absl::StrCat(label, ": "), line, "\r\n");
  }
  if (!message.link.empty()) {
    absl::StrAppend(&text, message.link_label, ": ", message.link, "\r\n");
  }
  absl::StrAppend(&text, "\r\n-- \r\n", message.footer, "\r\n");
  return text;
}

std::string Html(const NoticeMessage& message, absl::string_view language) {
  std::string rows;
  for (const auto& [label, line] : message.lines) {
    absl::StrAppend(&rows, "<tr><th align=\"left\" valign=\"top\">", EscapeHtml(label), "</th><td>",
                    EscapeHtml(line), "</td></tr>\r\n");
  }
  if (!message.link.empty()) {
    absl::StrAppend(&rows, "<tr><th></th><td><a href=\"", EscapeHtml(message.link), "\">",
                    EscapeHtml(message.link_label), "</a></td></tr>\r\n");
  }
  return absl::StrCat("<!DOCTYPE html>\r\n<html lang=\"", EscapeHtml(language),
                      "\"><head><meta charset=\"utf-8\"><title>", EscapeHtml(message.title),
                      "</title></head><body>\r\n<h1 style=\"font-size:1.2em\">",
                      EscapeHtml(message.title), "</h1>\r\n<table cellpadding=\"4\">\r\n", rows,
                      "</table>\r\n<p><small>", EscapeHtml(message.footer),
                      "</small></p></body></html>\r\n");
}

}  // namespace

std::string HeaderText(absl::string_view text) {
  const std::string clean = PrintableUtf8(text);
  constexpr size_t kPlain = 60;    // one line beside the header's name
  constexpr size_t kEncoded = 42;  // bytes that an encoded word of 75 characters holds
  const bool plain =
      clean.size() <= kPlain && !absl::StrContains(clean, "=?") &&
      std::all_of(clean.begin(), clean.end(), [](char c) { return absl::ascii_isprint(c); });
  if (plain) return clean;
  std::string words;
  for (absl::string_view rest = clean; !rest.empty();) {
    const absl::string_view part = CutUtf8(rest, kEncoded);
    absl::StrAppend(&words, words.empty() ? "" : "\r\n ", "=?utf-8?B?", absl::Base64Escape(part),
                    "?=");
    rest.remove_prefix(std::max<size_t>(1, part.size()));
  }
  return words;
}

std::string MessageIdOf(const NoticeMessage& message, const MailFrame& frame) {
  const std::string text = absl::StrCat(message.id, "\n", frame.to, "\n", message.secret);
  return absl::StrCat("deferd.", Digest(text), "@", PrintableAscii(frame.host, 255));
}

std::string MailText(const NoticeMessage& message, const MailFrame& frame, absl::Time now) {
  const std::string thread = absl::StrCat("<deferd.thread.", Digest(message.thread), "@",
                                          PrintableAscii(frame.host, 255), ">");
  const std::string boundary =
      absl::StrCat("=_deferd_", Digest(absl::StrCat(message.id, absl::ToUnixMicros(now))));
  const auto part = [&](absl::string_view type, const std::string& text) {
    return absl::StrCat("--", boundary, "\r\nContent-Type: ", type,
                        "; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
                        Base64Lines(text));
  };
  return absl::StrCat(
      "From: deferd <", frame.from, ">\r\nTo: ", frame.to,
      "\r\nSubject: ", HeaderText(frame.title.empty() ? message.title : frame.title),
      "\r\nDate: ", absl::FormatTime("%a, %d %b %Y %H:%M:%S +0000", now, absl::UTCTimeZone()),
      "\r\nMessage-ID: <", MessageIdOf(message, frame), ">\r\nIn-Reply-To: ", thread,
      "\r\nReferences: ", thread,
      "\r\nAuto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\nX-Deferd-Severity: ",
      SeverityName(message.severity), "\r\nMIME-Version: 1.0\r\nContent-Language: ", frame.language,
      "\r\nContent-Type: multipart/alternative; boundary=\"", boundary, "\"\r\n\r\n",
      part("text/plain", Plain(message)), part("text/html", Html(message, frame.language)), "--",
      boundary, "--\r\n");
}

}  // namespace deferd
