// One way to tell people: a mail, a webhook or a command. Blocking; called by one thread.

#ifndef DEFERD_EXPORTER_NOTICE_SINK_H_
#define DEFERD_EXPORTER_NOTICE_SINK_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "exporter/notice/own_mail.h"
#include "limiter/config/notice_config.h"
#include "limiter/localrpc/json.h"
#include "limiter/store/outbox.h"

namespace deferd {

struct SinkParts {
  std::string node;
  std::string host;  // this machine's name
  // The page of a subject, as WhyJson gives it; null if nothing is known of it.
  std::function<Json(const std::string& subject)> why;
  // The link to the owner's page of the notice's case, for mail to its owner's address; "": none.
  // `named`: the operator's list of owners names the address. May be empty.
  std::function<std::string(const Notice& notice, const std::string& address, bool named)> link;
  // Where mail is marked as deferd's own; null: nowhere.
  OwnMail* own_mail = nullptr;
};

class Sink {
 public:
  virtual ~Sink() = default;

  // To whom the notice goes: what has the same key may go together. Empty: to nobody.
  virtual std::string KeyOf(const Notice& notice) const = 0;
  // How many notices of one key may go in one message about different troubles.
  virtual size_t MostTogether() const = 0;
  // Sends one message: notices of one thread, of which the last is the newest, or many that go
  // together. InvalidArgument: refused for good.
  // Unavailable: nothing can be sent now. Anything else: try this one again.
  // `left`: if it is for several and some have it, the key of those who have not.
  virtual absl::Status Send(const std::string& key, const std::vector<Notice>& notices,
                            absl::Time now, std::string* left) = 0;
};

std::unique_ptr<Sink> NewSink(const NoticeSink& config, SinkParts parts);

}  // namespace deferd

#endif  // DEFERD_EXPORTER_NOTICE_SINK_H_
