// The tables [notice.NAME] of deferd.toml: who hears of what, by which way.

#ifndef DEFERD_LIMITER_CONFIG_NOTICE_CONFIG_H_
#define DEFERD_LIMITER_CONFIG_NOTICE_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "policy/notice_kind.h"
#include "policy/subject.h"
#include "policy/toml_reader.h"

namespace deferd {

// Where the owner of a domain is reached.
struct NoticeOwner {
  std::string address;
  std::string language;  // empty: the sink's

  friend bool operator==(const NoticeOwner&, const NoticeOwner&) = default;
};

struct NoticeSink {
  enum class Type : uint8_t { kMail, kWebhook, kCommand };

  std::string name;
  Type type = Type::kMail;
  std::vector<NoticeKind> on;      // the events that it hears of
  std::vector<SubjectKind> kinds;  // of these kinds of subject only; empty: of all
  std::vector<std::string> tags;   // of subjects with one of these tags only; empty: of all
  int quiet_from = 0;              // minutes of the day; equal: no quiet hours
  int quiet_until = 0;
  int64_t per_hour = 60;  // messages
  int64_t per_subject_per_hour = 4;
  absl::Duration batch = absl::Seconds(5);
  absl::Duration expire = absl::Hours(48);
  absl::Duration timeout = absl::Seconds(15);
  std::string language = "en";
  std::optional<int> digest;  // minute of the day

  // Mail: to these addresses, or to the owner of the domain.
  std::string host = "127.0.0.1:25";
  std::string from;
  std::vector<std::string> to;
  std::string owner;                          // a template: "postmaster@{domain}"; empty: no owner
  std::map<std::string, NoticeOwner> owners;  // by domain, ahead of the template
  bool tls = false;                           // required; else used where it is offered
  std::string user;
  std::string password;
  std::string title;  // a template; empty: the catalogue's

  // Webhook.
  std::string url;
  std::string secret;
  bool allow_private = false;

  // Command.
  std::string socket = "/run/deferd-notify/notify.sock";

  bool ToOwner() const { return !owner.empty() || !owners.empty(); }

  friend bool operator==(const NoticeSink&, const NoticeSink&) = default;
};

// The tables below `notice`. Every error goes to `reader`; `warnings` gets what is likely an
// oversight.
std::vector<NoticeSink> ReadNoticeSinks(TomlReader* reader, TomlTable* root,
                                        std::vector<std::string>* warnings);

// Replaces {name} in a template. Unknown names stay.
std::string FillTemplate(const std::string& text, const std::map<std::string, std::string>& values);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CONFIG_NOTICE_CONFIG_H_
