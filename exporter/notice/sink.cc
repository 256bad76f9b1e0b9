#include "exporter/notice/sink.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "exporter/notice/catalogue.h"
#include "exporter/notice/mail_text.h"
#include "exporter/notice/message.h"
#include "exporter/notice/send.h"
#include "limiter/localrpc/admin_client.h"

namespace deferd {

namespace {

bool OneThread(const std::vector<Notice>& notices) {
  for (const Notice& one : notices) {
    if (one.thread != notices.front().thread) return false;
  }
  return true;
}

class MailSink : public Sink {
 public:
  MailSink(const NoticeSink& config, SinkParts parts) : config_(config), parts_(std::move(parts)) {
    if (config_.from.empty()) config_.from = absl::StrCat("deferd@", parts_.host);
  }

  // "ADDRESS LANGUAGE" of each recipient, a line each.
  std::string KeyOf(const Notice& notice) const override {
    if (!config_.ToOwner()) return absl::StrJoin(config_.to, "\n");
    if (notice.domain.empty()) return "";
    const auto known = config_.owners.find(notice.domain);
    if (known != config_.owners.end()) {
      return absl::StrCat(known->second.address, " ", known->second.language);
    }
    return FillTemplate(config_.owner, {{"domain", notice.domain}});
  }

  size_t MostTogether() const override { return 100'000; }

  absl::Status Send(const std::string& key, const std::vector<Notice>& notices, absl::Time now,
                    std::string* left) override {
    absl::Status sent;
    std::vector<absl::string_view> without;
    size_t lines = 0;
    for (absl::string_view line : absl::StrSplit(key, '\n')) {
      ++lines;
      const std::pair<std::string, std::string> to = absl::StrSplit(line, absl::MaxSplits(' ', 1));
      const std::string& language = to.second.empty() ? config_.language : to.second;
      const Notice& newest = notices.back();
      const bool one_thread = OneThread(notices);
      NoticeMessage message =
          one_thread
              ? MessageOf(newest, newest.subject.empty() ? Json() : parts_.why(newest.subject),
                          static_cast<int>(notices.size()) - 1, language,
                          config_.ToOwner() ? NoticeReader::kOwner : NoticeReader::kOperator)
              : StormMessage(notices, language);
      if (one_thread && config_.ToOwner() && parts_.link) {
        const auto known = config_.owners.find(newest.domain);
        const bool named = known != config_.owners.end() && known->second.address == to.first;
        message.link = parts_.link(newest, to.first, named);
        message.link_label = std::string(CatalogueOf(language).page);
      }
      MailFrame frame = {.from = config_.from,
                         .to = to.first,
                         .host = parts_.host,
                         .language = language,
                         .title = ""};
      if (!config_.title.empty()) {
        frame.title = FillTemplate(
            config_.title,
            {{"event", one_thread ? std::string(InfoOf(newest.kind).name) : message.title},
             {"subject", one_thread ? newest.subject : ""},
             {"severity", std::string(SeverityName(message.severity))},
             {"host", parts_.host}});
      }
      const absl::Status one = SendOne(message, frame, now);
      if (one.ok()) continue;
      // The next one may accept it.
      without.push_back(line);
      if (sent.ok() || absl::IsInvalidArgument(sent)) sent = one;
    }
    if (without.size() < lines) *left = absl::StrJoin(without, "\n");
    return sent;
  }

 private:
  absl::Status SendOne(const NoticeMessage& message, const MailFrame& frame, absl::Time now) {
    OwnMail* const own = parts_.own_mail;
    std::vector<std::pair<std::string, int>> connections;
    SmtpOptions options = {.host = config_.host,
                           .helo = parts_.host,
                           .tls = config_.tls,
                           .user = config_.user,
                           .password = config_.password,
                           .timeout = config_.timeout,
                           .on_local = nullptr};
    if (own != nullptr) {
      options.on_local = [&](const std::string& ip, int port) {
        // What an earlier version stored has no secret: anybody could guess it.
        if (!message.secret.empty()) own->Expect(MessageIdOf(message, frame), now);
        own->Opened(ip, port);
        connections.emplace_back(ip, port);
      };
    }
    absl::Status sent = SendMail(options, frame.to, MailText(message, frame, now));
    for (const auto& [ip, port] : connections) own->Closed(ip, port);
    return sent;
  }

  NoticeSink config_;
  const SinkParts parts_;
};

class WebhookSink : public Sink {
 public:
  WebhookSink(NoticeSink config, SinkParts parts)
      : config_(std::move(config)), parts_(std::move(parts)) {}

  std::string KeyOf(const Notice&) const override { return config_.url; }
  size_t MostTogether() const override { return kStormLines; }

  absl::Status Send(const std::string&, const std::vector<Notice>& notices, absl::Time now,
                    std::string*) override {
    const bool one_thread = OneThread(notices);
    Json events = Json::array();
    for (size_t i = one_thread ? notices.size() - 1 : 0; i < notices.size(); ++i) {
      const Notice& one = notices[i];
      // A page for each of many would take the disk's time from the counting.
      const bool page = one_thread && !one.subject.empty();
      events.push_back(EventJson(one, page ? parts_.why(one.subject) : Json(), parts_.node));
    }
    const Json body = {{"version", 1},
                       {"text", one_thread ? MessageOf(notices.back(), Json(), 0, "en").title
                                           : StormMessage(notices, "en").title},
                       {"folded", one_thread ? notices.size() - 1 : 0},
                       {"events", std::move(events)}};
    const std::string text = Dump(body);
    const int64_t timestamp = absl::ToUnixSeconds(now);
    std::vector<std::string> headers = {absl::StrCat("X-Deferd-Timestamp: ", timestamp)};
    if (!config_.secret.empty()) {
      headers.push_back(
          absl::StrCat("X-Deferd-Signature: ", Signature(config_.secret, timestamp, text)));
    }
    return PostJson({.url = config_.url,
                     .headers = std::move(headers),
                     .allow_private = config_.allow_private,
                     .timeout = config_.timeout},
                    text);
  }

 private:
  const NoticeSink config_;
  const SinkParts parts_;
};

// Through deferd-notify, which runs the command as another user.
class CommandSink : public Sink {
 public:
  CommandSink(NoticeSink config, SinkParts parts)
      : config_(std::move(config)), parts_(std::move(parts)) {}

  // A command acts: each event is one run.
  std::string KeyOf(const Notice& notice) const override { return notice.id; }
  size_t MostTogether() const override { return 1; }

  absl::Status Send(const std::string&, const std::vector<Notice>& notices, absl::Time,
                    std::string*) override {
    const Notice& one = notices.back();
    const Json event =
        EventJson(one, one.subject.empty() ? Json() : parts_.why(one.subject), parts_.node);
    constexpr absl::Duration kAnswer = absl::Seconds(5);  // beyond the command's own time
    const absl::StatusOr<Json> ran =
        CallDaemon(config_.socket, "run",
                   {{"event", event}, {"timeout_ms", absl::ToInt64Milliseconds(config_.timeout)}},
                   config_.timeout + kAnswer);
    // The command's own failure says nothing about other events.
    if (absl::IsFailedPrecondition(ran.status())) return absl::AbortedError(ran.status().message());
    return ran.ok() ? absl::OkStatus() : absl::UnavailableError(ran.status().message());
  }

 private:
  const NoticeSink config_;
  const SinkParts parts_;
};

}  // namespace

std::unique_ptr<Sink> NewSink(const NoticeSink& config, SinkParts parts) {
  switch (config.type) {
    case NoticeSink::Type::kMail:
      return std::make_unique<MailSink>(config, std::move(parts));
    case NoticeSink::Type::kWebhook:
      return std::make_unique<WebhookSink>(config, std::move(parts));
    case NoticeSink::Type::kCommand:
      break;
  }
  return std::make_unique<CommandSink>(config, std::move(parts));
}

}  // namespace deferd
