//! From the SDK's errors to classes. The codes are those of "Common errors" and of each operation's page in the API references.

use crate::world::{Class, Failure};
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::{
    client::{orchestrator::HttpResponse, result::SdkError},
    http::StatusCode,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;

/// How much of a body that is no answer of AWS's is told.
const BODY_SHOWN: usize = 120;

/// The failure of `operation` (as IAM names it: `cloudformation:DescribeStacks`) on `subject`.
pub(in crate::world::live) fn failed<E>(
    operation: &str,
    subject: &str,
) -> impl FnOnce(SdkError<E, HttpResponse>) -> Failure
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    move |error| {
        if let Some(own) = find::<Failure>(&error) {
            return own.clone();
        }
        match &error {
            SdkError::ServiceError(answer) => {
                let (code, message) = (answer.err().code(), answer.err().message());
                answered(operation, subject, code, message, answer.raw())
            }
            SdkError::TimeoutError(_) => {
                Failure::new(Class::TimedOut, operation, subject, format!("no answer in time: {}", chain(&error)))
            }
            // A body that broke off is not kept: the call may have had its effect.
            SdkError::ResponseError(answer) if answer.raw().body().bytes().is_none() => {
                Failure::new(Class::Unavailable, operation, subject, format!("the answer broke off: {}", chain(&error)))
            }
            SdkError::ResponseError(answer) => no_answer_of_aws(operation, subject, answer.raw()),
            _ => unsent(operation, subject, &error),
        }
    }
}

/// An answer of the service, by its code.
fn answered(operation: &str, subject: &str, code: Option<&str>, message: Option<&str>, raw: &HttpResponse) -> Failure {
    let status = raw.status();
    let Some(code) = code else { return no_answer_of_aws(operation, subject, raw) };
    let said = message.filter(|m| !m.is_empty()).unwrap_or(code);
    let class = classify(code, said, status);
    let failure = Failure::new(class, operation, subject, said);
    match (code, class) {
        ("ExpiredToken" | "ExpiredTokenException" | "RequestExpired", _) => {
            failure.hint("the credentials have expired: log in again (`aws sso login`), or get new ones")
        }
        ("InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId", _) => {
            failure.hint("AWS does not know this access key: check the profile or the AWS_ACCESS_KEY_ID that is used")
        }
        ("SignatureDoesNotMatch" | "RequestTimeTooSkewed", _) => {
            failure.hint("the secret key does not belong to the access key, or the clock is wrong")
        }
        (_, Class::Denied) => failure.hint(format!(
            "allow {operation}{} to the role or user that calls; docs/aws.md has policies for plan and for apply",
            if subject.is_empty() { String::new() } else { format!(" on {subject}") }
        )),
        (_, Class::Unsupported) => failure.hint("this endpoint does not have the operation; AWS has"),
        _ => failure,
    }
}

fn classify(code: &str, message: &str, status: StatusCode) -> Class {
    let within = |part: &str| message.contains(part);
    match code {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "BandwidthLimitExceeded"
        | "SlowDown"
        | "PriorRequestNotComplete"
        | "TransactionInProgressException"
        | "ModelNotReadyException"
        | "EC2ThrottledException"
        // Two who write the same object at the same moment: the store asks for another try.
        | "ConditionalRequestConflict"
        | "OperationAborted" => Class::Throttled,
        _ if within("Rate exceeded") => Class::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "UnauthorizedAccess"
        | "NotAuthorized"
        | "AuthFailure"
        | "OptInRequired"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "RequestTimeTooSkewed"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "InvalidIdentityToken"
        | "AccountProblem"
        | "OperationNotPermitted"
        | "DecryptionFailure"
        | "KMSAccessDeniedException"
        | "Forbidden" => Class::Denied,
        "ResourceNotFoundException"
        | "StackNotFoundException"
        | "ChangeSetNotFound"
        | "ChangeSetNotFoundException"
        | "ParameterNotFound"
        | "ParameterVersionNotFound"
        | "NoSuchBucket"
        | "NoSuchKey"
        | "NotFound"
        | "NotFoundException"
        | "ListenerNotFound"
        | "LoadBalancerNotFound"
        | "RuleNotFound"
        | "TargetGroupNotFound"
        | "NoSuchEntity" => Class::NotFound,
        "RequestTimeout" | "RequestTimeoutException" | "ModelTimeoutException" => Class::TimedOut,
        "IDPCommunicationError" | "ModelErrorException" => Class::Unavailable,
        _ if within("does not exist") => Class::NotFound,
        "AlreadyExistsException"
        | "AlreadyExists"
        | "EntityAlreadyExists"
        | "BucketAlreadyExists"
        | "BucketAlreadyOwnedByYou"
        | "NameAlreadyExistsException"
        | "PriorityInUse"
        | "ParameterAlreadyExists" => Class::AlreadyExists,
        "ResourceInUseException"
        | "ConflictException"
        | "InvalidChangeSetStatus"
        | "InvalidChangeSetStatusException"
        | "OperationInProgressException"
        | "OperationIdAlreadyExistsException"
        | "TokenAlreadyExistsException"
        | "StaleRequestException"
        | "PreconditionFailed"
 => Class::Conflict,
        "LimitExceededException"
        | "LimitExceeded"
        | "ServiceQuotaExceededException"
        | "ResourceLimitExceededException"
        | "ConcurrentResourcesLimitExceededException"
        | "TargetGroupAssociationLimit"
        | "TooManyActions"
        | "TooManyBuckets"
        | "TooManyRules"
        | "TooManyTags"
        | "TooManyTargetGroups"
        | "TooManyTargets"
        | "TooManyUniqueTargetGroupsPerLoadBalancer" => Class::Limit,
        "HealthUnavailable"
        | "InternalFailure"
        | "InternalError"
        | "InternalServerError"
        | "InternalServiceError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "ServerException"
        | "ServerError" => Class::Unavailable,
        "InvalidAction"
        | "UnknownOperationException"
        | "UnknownOperation"
        | "NotImplemented"
        | "NotImplementedException"
        | "UnsupportedOperation"
        | "UnsupportedOperationException" => Class::Unsupported,
        _ if within("No route for") || within("is not supported by this endpoint") => Class::Unsupported,
        // What another operation holds is told as a validation error.
        _ if within("_IN_PROGRESS state and can") => Class::Conflict,
        _ if status.is_server_error() => Class::Unavailable,
        _ => Class::Invalid,
    }
}

/// An answer without a code of AWS's: a page of a proxy, or a server that lacks the operation.
fn no_answer_of_aws(operation: &str, subject: &str, raw: &HttpResponse) -> Failure {
    let status = raw.status().as_u16();
    let body = raw.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
    let shown = plain(&body);
    let shown = if shown.is_empty() { String::new() } else { format!(": {shown}") };
    match status {
        429 => Failure::new(Class::Throttled, operation, subject, format!("HTTP 429{shown}")),
        502..=504 => Failure::new(Class::Unavailable, operation, subject, format!("HTTP {status}{shown}")),
        401 | 403 => Failure::new(Class::Denied, operation, subject, format!("HTTP {status}{shown}"))
            .hint("no answer of AWS's own: a proxy or gateway on the way may refuse"),
        _ => Failure::new(
            Class::Unsupported,
            operation,
            subject,
            format!("the endpoint answered HTTP {status} with something that is no answer of AWS's{shown}"),
        )
        .hint(
            "check endpoint_url, AWS_ENDPOINT_URL and the proxy; an endpoint other than AWS's may lack the operation",
        ),
    }
}

/// The text of a body on one line, without markup.
pub(in crate::world::live) fn plain(body: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in body.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                text.push(' ');
            }
            c if !inside && !c.is_control() => text.push(c),
            _ => text.push(' '),
        }
        if text.len() > 4 * BODY_SHOWN {
            break;
        }
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(BODY_SHOWN).collect()
}

/// A call that was not sent, or whose answer never came.
fn unsent<E>(operation: &str, subject: &str, error: &SdkError<E, HttpResponse>) -> Failure
where
    E: Error + Send + Sync + 'static,
{
    if let Some(missing) = find::<CredentialsError>(error) {
        return no_credentials(operation, subject, missing);
    }
    let said = chain(error);
    if let SdkError::DispatchFailure(dispatch) = error {
        let class = if dispatch.is_timeout() { Class::TimedOut } else { Class::Unavailable };
        let failure = Failure::new(class, operation, subject, format!("the endpoint cannot be reached: {said}"));
        return failure.hint(if said.contains("certificate") || said.contains("Certificate") {
            "name your network's certificates in AWS_CA_BUNDLE"
        } else {
            "check the region, endpoint_url or AWS_ENDPOINT_URL, and HTTPS_PROXY and NO_PROXY"
        });
    }
    let class = if said.contains("timed out") { Class::Unavailable } else { Class::Invalid };
    Failure::new(class, operation, subject, said)
}

fn no_credentials(operation: &str, subject: &str, error: &CredentialsError) -> Failure {
    let said = chain(error);
    let hint = if said.contains("sso") || said.contains("SSO") {
        "log in with `aws sso login`, with the profile that the plan or AWS_PROFILE names"
    } else {
        "set AWS_PROFILE or `profile`, log in with `aws sso login`, or give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    };
    let class = if matches!(error, CredentialsError::ProviderTimedOut(_)) { Class::Unavailable } else { Class::Denied };
    Failure::new(class, operation, subject, format!("there are no credentials: {said}")).hint(hint)
}

/// The world's own failure, where one is among the causes.
pub(in crate::world::live) fn cause(error: &(dyn Error + 'static)) -> Option<Failure> {
    find::<Failure>(error).cloned()
}

/// The first cause of this type.
pub(in crate::world::live) fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref() {
            return Some(found);
        }
        cause = inner.source();
    }
    None
}

/// An error and its causes on one line, none said twice.
pub(in crate::world::live) fn chain(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&said);
        }
        cause = inner.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksError;
    use aws_smithy_types::{body::SdkBody, error::ErrorMetadata};

    fn answer(status: u16, code: Option<&str>, message: &str, body: &'static str) -> Failure {
        let mut meta = ErrorMetadata::builder().message(message);
        if let Some(code) = code {
            meta = meta.code(code);
        }
        let raw = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body));
        let error = SdkError::service_error(DescribeStacksError::generic(meta.build()), raw);
        failed("cloudformation:DescribeStacks", "network")(error)
    }

    #[test]
    fn codes_of_the_service_become_classes() {
        for (status, code, message, class) in [
            (400, "Throttling", "Rate exceeded", Class::Throttled),
            (400, "ValidationError", "Stack with id network does not exist", Class::NotFound),
            (
                400,
                "ValidationError",
                "Stack:arn is in UPDATE_IN_PROGRESS state and can not be updated.",
                Class::Conflict,
            ),
            (400, "ValidationError", "Template format error", Class::Invalid),
            (403, "AccessDenied", "User: x is not authorized to perform: cloudformation:DescribeStacks", Class::Denied),
            (403, "ExpiredToken", "The security token included in the request is expired", Class::Denied),
            (400, "InvalidAction", "Could not find operation", Class::Unsupported),
            (500, "InternalFailure", "An internal error", Class::Unavailable),
            (503, "SlowDown", "Please reduce your request rate.", Class::Throttled),
            (500, "Whatever", "?", Class::Unavailable),
        ] {
            assert_eq!(answer(status, Some(code), message, "").class, class, "{code}: {message}");
        }
    }

    #[test]
    fn a_refusal_says_which_action_on_what_to_allow() {
        let hint = answer(403, Some("AccessDenied"), "no", "").hint.unwrap();
        assert!(hint.contains("cloudformation:DescribeStacks on network"), "{hint}");
    }

    #[test]
    fn a_page_of_html_is_no_answer_and_its_text_is_told_without_markup() {
        let failure = answer(404, None, "", "<html><body><h1>404</h1>\n<p>Not here</p></body></html>");
        assert_eq!(failure.class, Class::Unsupported);
        assert!(failure.message.contains("HTTP 404"), "{failure}");
        assert!(failure.message.ends_with("404 Not here"), "{failure}");
        assert_eq!(answer(503, None, "", "<b>down</b>").class, Class::Unavailable);
    }

    #[test]
    fn missing_credentials_say_how_to_get_some() {
        let source = aws_smithy_runtime_api::client::result::ConnectorError::user(
            CredentialsError::not_loaded("no providers in chain provided credentials").into(),
        );
        let error: SdkError<DescribeStacksError, HttpResponse> = SdkError::dispatch_failure(source);
        let failure = failed("sts:GetCallerIdentity", "")(error);
        assert_eq!(failure.class, Class::Denied);
        assert!(failure.message.contains("no credentials"), "{failure}");
        assert!(failure.hint.unwrap().contains("AWS_PROFILE"));
    }
}
