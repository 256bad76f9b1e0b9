// Postfix's policy delegation protocol (SMTPD_POLICY_README).
//
//   question  request=smtpd_access_policy LF NAME=VALUE LF ... LF (an empty line ends it)
//   answer    action=DUNNO | HOLD TEXT | DEFER_IF_PERMIT 4.7.1 TEXT | 550 5.7.1 TEXT |
//             DISCARD TEXT, LF LF
//
// Mail on hold stays there until deferd-queue releases it. While the deferd-queue of this Postfix
// does not answer, the answer for a hold is DEFER_IF_PERMIT: the client keeps the message.
//
// The session reads sasl_username, sender, client_address, instance and queue_id and ignores all
// other attributes. Postfix sends each attribute once. If a request repeats one with another value,
// both values are checked and the stricter answer is given, so that no value can hide another.
//
// A login makes the question a submission. Without a login the envelope sender proves nothing, and
// only mail from relay_hosts is charged to it. The login is normalised as in Postfix's log: control
// bytes become '?', and ", " begins the next field. The answer for accepted mail is DUNNO, never
// OK, so that Postfix's other restrictions still decide.
//
// Postfix sends one request per recipient if the service is among the recipient restrictions. All
// requests of one `instance` get the same answer, which is counted once.
//
// A request with a line over kMaxLine bytes, with more than kMaxLines lines, or without the
// attributes of a policy request is answered DUNNO and counted. The connection is closed after
// kMaxMalformed of them, or if a request does not end.

#ifndef DEFERD_LIMITER_HOOK_POSTFIX_SESSION_H_
#define DEFERD_LIMITER_HOOK_POSTFIX_SESSION_H_

#include <cstddef>
#include <deque>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "limiter/hook/question.h"
#include "limiter/hook/question_session.h"

namespace deferd {

class PostfixSession : public QuestionSession {
 public:
  static constexpr size_t kMaxLine = 8192;  // without the LF
  static constexpr int kMaxLines = 200;     // Postfix 3.9 sends about 35
  static constexpr size_t kInstances = 16;  // remembered, for messages that arrive at the same time

  // `answered` and `malformed` may be null.
  PostfixSession(Answerer answerer, AnswerSeen answered, MalformedSeen malformed);

  void OnEnd(std::string* out) override;

 private:
  void OnLine(absl::string_view line, std::string* out) override;
  void OnLongLine(std::string* out) override;
  // A request without end closes the connection.
  bool Continues() const override { return request_.lines < 10 * kMaxLines; }
  void ReadAttribute(absl::string_view line);
  void AnswerRequest(std::string* out);
  Question MakeQuestion(const std::string& login, const std::string& sender,
                        const std::string& host) const;

  // The request read so far.
  struct Request {
    struct Attribute {
      absl::string_view name;
      std::string value;
      std::string last;  // same as `value` unless the attribute was repeated
      bool given = false;
    };
    Attribute request{"request"};
    Attribute sasl_username{"sasl_username"};
    Attribute sender{"sender"};
    Attribute client_address{"client_address"};
    Attribute instance{"instance"};
    Attribute queue_id{"queue_id"};
    Attribute client_port{"client_port"};
    int lines = 0;
    bool malformed = false;
  };
  Request request_;
  std::deque<std::pair<std::string, std::string>> instances_;  // newest first, with the action
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_HOOK_POSTFIX_SESSION_H_
