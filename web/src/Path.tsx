/** Path is a picture of the way from the sign-in to the answer: boxes, and arrows that say what is sent. */
export function Path() {
  return (
    <section className="stack" aria-labelledby="path">
      <h2 id="path">What happens then</h2>
      <ol className="path">
        <li>
          <p className="box">
            <strong>Clerk</strong> signs you in
          </p>
          <p className="arrow">a session token, new every minute</p>
        </li>
        <li>
          <p className="box">
            <strong>This page</strong> asks who you are
          </p>
          <p className="arrow">
            <code>GET /user/profile</code> with the token
          </p>
        </li>
        <li>
          <p className="box">
            <strong>The backend</strong> verifies the token
          </p>
          <p className="arrow">the answer</p>
        </li>
        <li>
          <p className="box box-answer">
            <code>{'{"userId": …, "email": …}'}</code>
          </p>
        </li>
      </ol>
    </section>
  );
}
