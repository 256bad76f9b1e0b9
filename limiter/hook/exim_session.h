// The Exim line protocol, for ${readsocket{...}} (Exim specification, chapter 11).
//
//   question  check TAB FIELD=VALUE TAB ... LF      FIELD: sender login user host id source domain
//             check SUBJECT LF                      asks for that subject: example.com,
//             login:bob@..
//   answer    WORD SPACE TEXT LF                    WORD: pass hold reject discard error
//             pass LF                               nothing to say
//
// Unknown fields are ignored; blanks around a field and CR before LF are dropped; values are taken
// as they are, up to the next TAB. Of a field named twice the first counts. An address may stand in
// <>; an empty one is the null sender.
//
// sender= is the client's own text and belongs at the end, behind all other fields: it takes the
// rest of the line, whatever is in it, so that no local part can name a field. Fields behind it, as
// in lines of older snippets, are believed only if no sender that Exim accepts could have written
// them: the address before them is complete, with its quotes closed; none of them was named
// before; and none but login= has an '@'. Otherwise all of it is the sender.
//
// What is asked about:
//   - sender= alone, without login=, user= and host=: the MTA vouches for the sender
//     (Identity::sender_vouched);
//   - user= beside a client host is an ident answer, no proof, and is dropped unless source=local;
//   - domain= is the one that the MTA's configuration takes for the sending one, where it writes
//     that into its log too (hosting panels: "Sender identification ... D=");
//   - a login ends where the log can show it: before a blank or a colon;
//   - without source= the mail is a submission.
//
// Lines are answered in order, one each, empty ones too. A line longer than kMaxLine bytes, with a
// zero byte, or one that is no question is answered `error TEXT` and counted; after an over-long
// one the rest of it is skipped, after kMaxMalformed of them the connection is closed. The last
// line need not end in LF: readsocket's half-close ends it.

#ifndef DEFERD_LIMITER_HOOK_EXIM_SESSION_H_
#define DEFERD_LIMITER_HOOK_EXIM_SESSION_H_

#include <chrono>
#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/hook/line_buffer.h"
#include "limiter/hook/question.h"
#include "limiter/port/socket_server.h"

namespace deferd {

// One question's text, without its LF. InvalidArgument says what was expected.
absl::StatusOr<Question> ParseEximQuestion(absl::string_view line);

class EximSession : public Session {
 public:
  static constexpr size_t kMaxLine = 4096;  // without the LF
  static constexpr int kMaxMalformed = 20;

  // `answered` and `malformed` may be null.
  EximSession(Answerer answerer, AnswerSeen answered, MalformedSeen malformed);

  bool OnBytes(absl::string_view bytes, std::string* out) override;
  void OnEnd(std::string* out) override;

 private:
  void AnswerLine(absl::string_view line, std::chrono::steady_clock::time_point arrived,
                  std::string* out);
  void SayError(absl::string_view text, std::string* out);

  const Answerer answerer_;
  const AnswerSeen answered_;
  const MalformedSeen malformed_;
  LineBuffer lines_{kMaxLine};
  int malformed_lines_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_HOOK_EXIM_SESSION_H_
