// The line protocol for Exim's ${readsocket{...}} (Exim specification, chapter 11).
//
//   question  check TAB FIELD=VALUE TAB ... LF      FIELD: sender login user host id source
//                                                 domain port
//             check SUBJECT LF                      SUBJECT: example.com, login:bob@..
//   answer    WORD SPACE TEXT LF                    WORD: pass hold reject discard error
//             pass LF                               no text
//
// Unknown fields are ignored. Blanks around a field and CR before LF are dropped. A value extends
// to the next TAB. If a field is repeated, the first value counts. An address may be enclosed in
// <>; an empty address is the null sender.
//
// sender= is text of the SMTP client and should be the last field: it takes the rest of the line,
// whatever it contains, so that no local part can inject a field. Fields behind it, as older
// snippets send them, are accepted only if no sender that Exim accepts could have written them: the
// address before them is complete with closed quotes, none of them was given before, and only
// login= contains an '@'. Otherwise the whole rest is the sender.
//
// Interpretation:
//   - sender= without login=, user= and host=: the MTA vouches for the sender
//     (Identity::sender_vouched);
//   - user= together with a client host is an ident answer, not a proof, and is dropped unless
//     source=local;
//   - domain= is the sending domain according to the MTA's configuration, if the MTA also logs it
//     (hosting panels: "Sender identification ... D=");
//   - port= is of the client's connection, and is read in front of sender= only;
//   - a login ends where the log shows its end: before a blank or a colon;
//   - without source= the mail is a submission.
//
// Every line gets one answer, in order, also an empty line. A line with more than kMaxLine bytes,
// with a zero byte or without a valid question is answered `error TEXT` and counted. The rest of an
// over-long line is skipped; after kMaxMalformed such lines the connection is closed. The last line
// needs no LF: readsocket's half-close ends it.

#ifndef DEFERD_LIMITER_HOOK_EXIM_SESSION_H_
#define DEFERD_LIMITER_HOOK_EXIM_SESSION_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/hook/question.h"
#include "limiter/hook/question_session.h"

namespace deferd {

// Parses one question without its LF. InvalidArgument says what was expected.
absl::StatusOr<Question> ParseEximQuestion(absl::string_view line);

class EximSession : public QuestionSession {
 public:
  static constexpr size_t kMaxLine = 4096;  // without the LF

  // `answered` and `malformed` may be null.
  EximSession(Answerer answerer, AnswerSeen answered, MalformedSeen malformed);

  void OnEnd(std::string* out) override;

 private:
  void OnLine(absl::string_view line, std::string* out) override;
  void OnLongLine(std::string* out) override;
  void AnswerError(absl::string_view text, std::string* out);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_HOOK_EXIM_SESSION_H_
