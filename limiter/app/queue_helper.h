// deferd-queue's protocol: what deferd, which is nobody, may ask the root helper to do.
//
// The admin protocol (limiter/admin/admin_session.h) over a unix socket. Verbs, with {"ids": [...]}
// unless said otherwise:
//   list                      the queue (queue_list.h)
//   hold, release, give_back, try  by deferd and root
//   put_off                   {"domains": {DOMAIN: why}}, all of them, by deferd and root: what
//   Postfix
//                             puts off (sender_table.h). {"table": what main.cf has to name; null
//                             without Postfix}
//   requeue, flush            {"id": ID}; {}
//   discard                   root alone, where the operator has allowed it
//   redirect                  {"id": ID, "address": ADDRESS}; likewise
// Every change is logged with who asked.

#ifndef DEFERD_LIMITER_APP_QUEUE_HELPER_H_
#define DEFERD_LIMITER_APP_QUEUE_HELPER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/admin/json.h"
#include "limiter/app/mta_queue.h"
#include "limiter/app/sender_table.h"
#include "limiter/port/socket_server.h"

namespace deferd {

class QueueHelper {
 public:
  struct Options {
    MtaPrograms programs;
    int64_t uid = -1;  // deferd's; root may always ask
    bool allow_discard = false;
    bool allow_redirect = false;
    SenderTable* sender_table = nullptr;  // null: there is none; must outlive the helper
  };

  explicit QueueHelper(Options options) : options_(std::move(options)), queue_(options_.programs) {}

  // PermissionDenied, InvalidArgument, or what MtaQueue says.
  absl::StatusOr<Json> Handle(const std::string& verb, const Json& args, const Peer& peer);

 private:
  absl::StatusOr<Json> PutOff(const Json& args);
  absl::Status Do(const std::string& verb, const Json& args);

  const Options options_;
  MtaQueue queue_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_QUEUE_HELPER_H_
