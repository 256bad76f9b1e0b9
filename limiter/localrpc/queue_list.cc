#include "limiter/localrpc/queue_list.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "policy/message_id.h"
#include "policy/refusal_text.h"

namespace deferd {

namespace {

// Sizes in Exim's listing: "512", "1.2K", "14M".
int64_t EximSize(absl::string_view text) {
  int64_t unit = 1;
  if (absl::ConsumeSuffix(&text, "K")) unit = 1 << 10;
  if (absl::ConsumeSuffix(&text, "M")) unit = 1 << 20;
  double size = 0;
  return absl::SimpleAtod(text, &size) && size >= 0 && size < 1e12
             ? static_cast<int64_t>(size * static_cast<double>(unit))
             : 0;
}

// "AGE SIZE ID <SENDER> *** frozen ***", with "(USER)" after the sender if an untrusted local user
// submitted the message. The sender may hold anything but a line end, so parse from the end.
bool ReadEximHead(absl::string_view line, QueuedMail* mail) {
  line = absl::StripAsciiWhitespace(line);
  const std::vector<absl::string_view> words =
      absl::StrSplit(line, absl::MaxSplits(' ', 30), absl::SkipEmpty());
  if (words.size() < 3 || !IsEximId(words[2])) return false;
  mail->size = EximSize(words[1]);
  mail->id = std::string(words[2]);
  absl::string_view rest = line.substr(line.find(words[2]) + words[2].size());
  mail->frozen = absl::ConsumeSuffix(&rest, " *** frozen ***");
  rest = absl::StripAsciiWhitespace(rest);
  const size_t close = rest.rfind('>');
  if (absl::ConsumePrefix(&rest, "<") && close != absl::string_view::npos && close > 0) {
    mail->sender = std::string(rest.substr(0, close - 1));
  }
  return true;
}

}  // namespace

std::string QueueField(const Json& json, const std::string& name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

void AddEximQueue(absl::string_view listing, bool held, std::vector<QueuedMail>* queue) {
  bool in_message = false;
  for (absl::string_view line : absl::StrSplit(listing, '\n')) {
    if (line.empty()) {
      in_message = false;
      continue;
    }
    if (!in_message) {
      QueuedMail mail;
      in_message = ReadEximHead(line, &mail);
      mail.held = mail.ours = held;
      if (in_message) queue->push_back(std::move(mail));
      continue;
    }
    // "        D ADDRESS": already delivered.
    absl::string_view address = absl::StripAsciiWhitespace(line);
    std::vector<std::string>& recipients = queue->back().recipients;
    if (absl::StartsWith(line, "        D ") || recipients.size() >= kMaxRecipients) continue;
    recipients.emplace_back(address);
  }
}

void AddPostfixQueue(absl::string_view listing, std::vector<QueuedMail>* queue) {
  for (absl::string_view line : absl::StrSplit(listing, '\n', absl::SkipEmpty())) {
    const Json json = Json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !IsPostfixId(QueueField(json, "queue_id"))) continue;
    QueuedMail& mail = queue->emplace_back();
    mail.id = QueueField(json, "queue_id");
    mail.held = QueueField(json, "queue_name") == "hold";
    mail.sender = QueueField(json, "sender");
    if (mail.sender == "MAILER-DAEMON") mail.sender.clear();
    mail.size = Number(json, "message_size");
    for (const Json& recipient : json.value("recipients", Json::array())) {
      if (!recipient.is_object() || mail.recipients.size() >= kMaxRecipients) continue;
      mail.recipients.push_back(QueueField(recipient, "address"));
      std::string reason = QueueField(recipient, "delay_reason");
      // The delay reason of our own table is preferred to others.
      if (mail.problem.empty() || IsRefusalText(reason)) mail.problem = std::move(reason);
    }
  }
}

Json QueueToJson(const std::vector<QueuedMail>& queue) {
  Json list = Json::array();
  for (const QueuedMail& mail : queue) {
    list.push_back({{"id", mail.id},
                    {"held", mail.held},
                    {"ours", mail.ours},
                    {"frozen", mail.frozen},
                    {"size", mail.size},
                    {"sender", mail.sender},
                    {"recipients", mail.recipients},
                    {"problem", mail.problem}});
  }
  return list;
}

std::vector<QueuedMail> QueueFromJson(const Json& json) {
  std::vector<QueuedMail> queue;
  if (!json.is_array()) return queue;
  for (const Json& one : json) {
    if (!one.is_object()) continue;
    QueuedMail& mail = queue.emplace_back();
    mail.id = QueueField(one, "id");
    mail.held = Flag(one, "held");
    mail.ours = Flag(one, "ours");
    mail.frozen = Flag(one, "frozen");
    mail.size = Number(one, "size");
    mail.sender = QueueField(one, "sender");
    mail.problem = QueueField(one, "problem");
    const auto recipients = one.find("recipients");
    if (recipients == one.end() || !recipients->is_array()) continue;
    for (const Json& recipient : *recipients) {
      if (recipient.is_string()) mail.recipients.push_back(recipient.get<std::string>());
    }
  }
  return queue;
}

}  // namespace deferd
