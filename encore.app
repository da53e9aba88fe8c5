{
	// "id" is filled in by `encore app link`, when the app is connected to Encore
	// Cloud. Nothing else needs it.
	"id": "",

	// A browser calls this backend with an Authorization header. Locally every
	// origin may; deployed, name the origins of your frontends here:
	//
	// "global_cors": {
	// 	"allow_origins_with_credentials": ["https://app.example.com"]
	// }
}
