package fakeclerk

import (
	"time"
)

// userJSON is Clerk's User resource: https://clerk.com/docs/reference/backend-api/model/user.
// Times are in milliseconds since 1970. Fields that are always null or empty here are there because an
// SDK reads them.
type userJSON struct {
	ID                            string             `json:"id"`
	Object                        string             `json:"object"`
	Username                      *string            `json:"username"`
	FirstName                     *string            `json:"first_name"`
	LastName                      *string            `json:"last_name"`
	Locale                        *string            `json:"locale"`
	ImageURL                      string             `json:"image_url"`
	HasImage                      bool               `json:"has_image"`
	PrimaryEmailAddressID         *string            `json:"primary_email_address_id"`
	PrimaryPhoneNumberID          *string            `json:"primary_phone_number_id"`
	PrimaryWeb3WalletID           *string            `json:"primary_web3_wallet_id"`
	PasswordEnabled               bool               `json:"password_enabled"`
	TwoFactorEnabled              bool               `json:"two_factor_enabled"`
	TOTPEnabled                   bool               `json:"totp_enabled"`
	BackupCodeEnabled             bool               `json:"backup_code_enabled"`
	MFAEnabledAt                  *int64             `json:"mfa_enabled_at"`
	MFADisabledAt                 *int64             `json:"mfa_disabled_at"`
	PasswordLastUpdatedAt         *int64             `json:"password_last_updated_at"`
	EmailAddresses                []emailAddressJSON `json:"email_addresses"`
	PhoneNumbers                  []struct{}         `json:"phone_numbers"`
	Web3Wallets                   []struct{}         `json:"web3_wallets"`
	Passkeys                      []struct{}         `json:"passkeys"`
	ExternalAccounts              []struct{}         `json:"external_accounts"`
	SAMLAccounts                  []struct{}         `json:"saml_accounts"`
	EnterpriseAccounts            []struct{}         `json:"enterprise_accounts"`
	PublicMetadata                map[string]any     `json:"public_metadata"`
	PrivateMetadata               map[string]any     `json:"private_metadata"`
	UnsafeMetadata                map[string]any     `json:"unsafe_metadata"`
	ExternalID                    *string            `json:"external_id"`
	Banned                        bool               `json:"banned"`
	Locked                        bool               `json:"locked"`
	LockoutExpiresInSeconds       *int64             `json:"lockout_expires_in_seconds"`
	VerificationAttemptsRemaining *int64             `json:"verification_attempts_remaining"`
	DeleteSelfEnabled             bool               `json:"delete_self_enabled"`
	CreateOrganizationEnabled     bool               `json:"create_organization_enabled"`
	CreateOrganizationsLimit      *int64             `json:"create_organizations_limit"`
	LastSignInAt                  *int64             `json:"last_sign_in_at"`
	LastActiveAt                  *int64             `json:"last_active_at"`
	LegalAcceptedAt               *int64             `json:"legal_accepted_at"`
	CreatedAt                     int64              `json:"created_at"`
	UpdatedAt                     int64              `json:"updated_at"`
}

type emailAddressJSON struct {
	ID                   string            `json:"id"`
	Object               string            `json:"object"`
	EmailAddress         string            `json:"email_address"`
	Reserved             bool              `json:"reserved"`
	Verification         *verificationJSON `json:"verification"`
	LinkedTo             []struct{}        `json:"linked_to"` // Clerk's JavaScript SDK fails without it
	MatchesSSOConnection bool              `json:"matches_sso_connection"`
	CreatedAt            int64             `json:"created_at"`
	UpdatedAt            int64             `json:"updated_at"`
}

type verificationJSON struct {
	Object   string `json:"object"`
	Status   string `json:"status"`
	Strategy string `json:"strategy"`
	Attempts *int64 `json:"attempts"`
	ExpireAt *int64 `json:"expire_at"`
}

func newUserJSON(user User) userJSON {
	none := []struct{}{}
	attempts := int64(100) // Clerk's default
	out := userJSON{
		ID:                            user.ID,
		Object:                        "user",
		Username:                      nullable(user.Username),
		FirstName:                     nullable(user.FirstName),
		LastName:                      nullable(user.LastName),
		ImageURL:                      "https://img.clerk.com/preview.png",
		PrimaryEmailAddressID:         nullable(user.PrimaryEmailAddressID),
		EmailAddresses:                make([]emailAddressJSON, len(user.EmailAddresses)),
		PhoneNumbers:                  none,
		Web3Wallets:                   none,
		Passkeys:                      none,
		ExternalAccounts:              none,
		SAMLAccounts:                  none,
		EnterpriseAccounts:            none,
		PublicMetadata:                orEmpty(user.PublicMetadata),
		PrivateMetadata:               orEmpty(user.PrivateMetadata),
		UnsafeMetadata:                orEmpty(user.UnsafeMetadata),
		ExternalID:                    nullable(user.ExternalID),
		Banned:                        user.Banned,
		Locked:                        user.Locked,
		VerificationAttemptsRemaining: &attempts,
		DeleteSelfEnabled:             true,
		CreateOrganizationEnabled:     true,
		CreatedAt:                     user.CreatedAt.UnixMilli(),
		UpdatedAt:                     user.UpdatedAt.UnixMilli(),
	}
	for i, address := range user.EmailAddresses {
		out.EmailAddresses[i] = newEmailAddressJSON(address, user.CreatedAt)
	}
	return out
}

func newEmailAddressJSON(address EmailAddress, createdAt time.Time) emailAddressJSON {
	out := emailAddressJSON{
		ID:           address.ID,
		Object:       "email_address",
		EmailAddress: address.EmailAddress,
		LinkedTo:     []struct{}{},
		CreatedAt:    createdAt.UnixMilli(),
		UpdatedAt:    createdAt.UnixMilli(),
	}
	if !address.Unverified {
		out.Verification = &verificationJSON{Object: "verification_admin", Status: "verified", Strategy: "admin"}
	}
	return out
}

// nullable is null where Clerk has no value.
func nullable(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func orEmpty(metadata map[string]any) map[string]any {
	if metadata == nil {
		return map[string]any{}
	}
	return metadata
}
